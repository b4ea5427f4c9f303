// What a program may run on: one TOML file per device, targets/<name>.toml.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/op_def.h"

namespace ft {

struct MemoryRegion {
  std::string name;  // "flash", "ram"
  uint64_t origin = 0, bytes = 0;
};

struct Target {
  std::string name;
  std::string arch;          // "armv7e-m"
  std::vector<Isa> kernels;  // instruction sets of kernel rows besides C99
  bool has_fpu = false;      // of single precision
  std::vector<MemoryRegion> memory;
  std::string compiler, c_flags;  // "arm-none-eabi-gcc", "-mcpu=cortex-m4 ..."

  // Of all regions with this name; 0: there is none.
  uint64_t memory_bytes(std::string_view region) const;
};

// The names of the targets that come with fieldtune.
std::vector<std::string> target_names();

// One of those, or a file of the user's (a path that ends in .toml).
Result<Target> load_target(const std::string& name_or_path);

// `source`: what messages call the text.
Result<Target> parse_target(std::string_view toml, const std::string& source);

}  // namespace ft
