// What a program may run on: one TOML file per device, targets/<name>.toml.
//
// What a kernel call costs there is a number of units (instructions, or
// nanoseconds on machines that were timed) by its row's linear model
// (plan/kernel_costs.h), times what the target states here per class of op.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ops/op_def.h"
#include "plan/kernel_costs.h"

namespace ft {

struct MemoryRegion {
  std::string name;            // "flash", "ram"; others are more of their kind
  std::string kind;            // "flash", "tcm", "sram", "external"
  uint64_t origin = 0;         // where printed code is linked
  uint64_t bytes = 0;          //
  int wait_states = 0;         // cycles on top of an access of 4 bytes
  double bytes_per_cycle = 0;  // sustained
  double pj_per_byte = 0;      // on top of the core's energy
};

// Between the core and every memory region: a program that fits into it whole
// moves its bytes at the cache's speed, not at the region's.
struct CacheLevel {
  uint64_t bytes = 0;
  double bytes_per_cycle = 0;  // sustained, read
};

struct ClassCost {
  double cycles_per_unit = 0, pj_per_cycle = 0;  // NaN: not known
};

struct TargetCosts {
  std::string part;        // what the figures are of: "STM32L4R5 at 120 MHz"
  double hz = 0;           // of the core
  std::string unit;        // of kernel rows: "instructions", "nanoseconds"
  std::string kernels_of;  // whose rows of targets/kernel_costs.txt are used
  std::array<ClassCost, kNumCostClasses> classes;
  KernelCosts kernels;  // rows of the file's own, before those

  const ClassCost& of(CostClass c) const {
    return classes[static_cast<size_t>(c)];
  }
};

// What the fastest rows unroll by: sizes that are multiples waste nothing.
struct TileSizes {
  int channels = 1, rank = 1;
};

// How the flash that a device keeps adapters in is written; 0: not said.
struct FlashGeometry {
  uint32_t page_bytes = 0;     // erased at once
  uint32_t program_bytes = 0;  // programmed at once
};

struct Target {
  std::string name;
  std::string arch;  // "armv7e-m"
  std::vector<std::string> extensions;
  std::vector<Isa> kernels;  // instruction sets of kernel rows besides C99
  bool has_c99 = true;       // whether rows in C99 may run there too
  bool has_fpu = false;      // of single precision
  bool has_double = false;
  bool runs_linux = false;  // fieldtune itself runs there; nothing is printed
  TileSizes tile;
  std::vector<MemoryRegion> memory;
  std::vector<CacheLevel> caches;  // smallest first
  FlashGeometry flash;
  std::string compiler, c_flags;  // "arm-none-eabi-gcc", "-mcpu=cortex-m4 ..."
  std::optional<TargetCosts> costs;

  // Of all regions with this name; 0: there is none.
  uint64_t memory_bytes(std::string_view region) const;
  // The first region with this name; nullptr: there is none.
  const MemoryRegion* region(std::string_view name) const;
};

// The names of the targets that come with fieldtune.
std::vector<std::string> target_names();

// One of those, "host" as `fieldtune bench --calibrate` measured it, or a file
// of the user's (a path that ends in .toml).
Result<Target> load_target(const std::string& name_or_path);

// Where the calibration of this machine lies: $XDG_CACHE_HOME/fieldtune or
// ~/.cache/fieldtune, host.toml. Empty: neither is set.
std::string host_target_path();

// `source`: what messages call the text; they give its line.
Result<Target> parse_target(std::string_view toml, const std::string& source);

}  // namespace ft
