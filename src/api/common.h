// What the parts of the public interface share.
#pragma once

#include "fieldtune/fieldtune.h"
#include "plan/program.h"

namespace fieldtune {

inline MemoryBytes memory_of(const ft::Program& program) {
  return {.arena = program.arena_bytes,
          .persistent = program.persistent_bytes,
          .scratch = program.scratch_bytes,
          .lower_bound = program.lower_bound_bytes,
          .constants = program.constant_bytes};
}

// Fails, naming both numbers, if `given` values are not `wanted`.
inline Status check_count(const char* what, size_t given, size_t wanted) {
  if (given == wanted) return {};
  return ft::usage_error(std::to_string(given) + " " + what + " were given; " +
                         std::to_string(wanted) + " are needed");
}

}  // namespace fieldtune
