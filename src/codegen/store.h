// A printed model's adapters and training states in flash: runtime_mcu/store
// and runtime_mcu/flash, copied beside the model, with what they check images
// against.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codegen/output_file.h"
#include "plan/program.h"
#include "plan/target.h"

namespace ft::codegen {

// What a device keeps; adapters 0: no flash.
struct StoreSettings {
  int adapters = 0;
  // That images are bound to; empty: of the printed inference, which may be
  // only a part of compile_inference()'s program.
  std::string plan_hash = {};
  // Who signs them (Ed25519); none: unsigned images are taken.
  std::optional<std::array<uint8_t, 32>> public_key = {};
  FlashGeometry flash = {};  // of the target, if it is known
};

// A file as it comes with fieldtune. The table is made when building, by
// tools/embed_store.py.
struct StoreFile {
  std::string_view path;  // below the printed folder: "flash/ft_flash.h"
  std::string_view text;
};
std::span<const StoreFile> store_files();

// Of a model with parameters; `train` may be null. Fails with kDoesNotFit where
// inference has none, and with kInternal if this build was made without the
// signature's sources.
Result<std::vector<OutputFile>> print_store(const StoreSettings& settings,
                                            const Program& infer,
                                            const Program* train,
                                            const std::string& base_sha256);

// Bytes of code and of stack that the store's functions take at most, on any
// device and with GCC's -O2; 0 without a store.
size_t store_code_bytes(const StoreSettings& settings);
size_t store_stack_bytes(const StoreSettings& settings);

// Bytes that a saved training state takes of flash, header and all; 0 where
// nothing is trained.
size_t state_bytes(size_t persistent_bytes, bool trains);

// Bytes of flash that all of it takes, FT_STORE_BYTES(page); 0 without a store
// or where the target's page is not known.
size_t store_bytes(const StoreSettings& settings, size_t adapter_bytes,
                   size_t persistent_bytes, bool trains);

// What README.md says about it.
std::string store_readme(const StoreSettings& settings, size_t adapter_bytes,
                         size_t persistent_bytes, bool trains);

}  // namespace ft::codegen
