// Where a fuzzer starts: valid inputs that it makes itself, written into the
// folder that FT_FUZZ_SEEDS names (tools/fuzz_for.py sets it to the corpus,
// which libFuzzer reads afterwards). Call it in LLVMFuzzerInitialize(). For
// fuzzers only.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>

#include "base/file.h"

namespace ft {

// A seed that is there already is left alone.
inline void write_fuzz_seed(const std::string& name,
                            std::span<const std::byte> bytes) {
  const char* folder = std::getenv("FT_FUZZ_SEEDS");
  if (folder == nullptr) return;
  const std::string path = std::string(folder) + "/" + name;
  if (!std::filesystem::exists(path))
    FT_CHECK(write_file_atomically(path, bytes).ok());
}

inline void write_fuzz_seed(const std::string& name, std::string_view text) {
  write_fuzz_seed(name, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace ft
