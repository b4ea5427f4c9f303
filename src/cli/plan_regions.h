// `fieldtune plan --target T --place-regions`: which buffer of the arena lies
// in which of the target's memories.
#pragma once

#include "cli/output.h"
#include "plan/program.h"
#include "plan/target.h"

namespace ft::cli {

// Adds to `fields` the memories of the target that can be written, fastest
// first, with the bytes used of each; the cycles that moving the arena's bytes
// takes, and what no assignment goes below; and a row for each buffer. Fails
// with kDoesNotFit where the buffers have no room together. Parameters and
// scratch are not placed: they take their bytes of the last region first.
Status add_regions(const Target& target, const Program& program, Json& fields);

}  // namespace ft::cli
