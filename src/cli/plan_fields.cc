#include "cli/plan_fields.h"

#include "passes/stripes.h"

namespace ft::cli {

Json plan_fields(const Program& program) {
  return {{"arena_bytes", program.arena_bytes},
          {"persistent_bytes", program.persistent_bytes},
          {"scratch_bytes", program.scratch_bytes},
          {"lower_bound_bytes", program.lower_bound_bytes},
          {"arena_is_optimal", program.arena_is_optimal},
          {"flash_bytes", program.constant_bytes},
          {"ram_bytes", program.ram_bytes()},
          {"steps", program.calls.size()},
          {"macs", program.macs},
          {"patches", stripes_of(program.graph)},
          {"plan_hash", plan_hash(program)}};
}

}  // namespace ft::cli
