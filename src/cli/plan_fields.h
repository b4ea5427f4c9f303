// The plan as JSON fields, for plan, train and bench alike.
#pragma once

#include "cli/output.h"
#include "plan/program.h"

namespace ft::cli {

// arena_bytes, persistent_bytes, scratch_bytes, lower_bound_bytes, flash_bytes,
// steps (kernel calls of one step), ram_bytes, plan_hash.
Json plan_fields(const Program& program);

}  // namespace ft::cli
