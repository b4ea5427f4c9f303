// What a program's persistent region holds before it runs: the values that a
// session starts from and a device image carries.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "plan/program.h"

namespace ft {

// Writes the initial values of parameters and states to their offsets; what has
// none stays as it is. `region` has persistent_bytes.
Status write_initial_values(const Program& program,
                            std::span<std::byte> region);

// The bytes of the region from its start to the end of the last parameter,
// rounded up to the parameters' alignment of 16: what an adapter is on a
// device. Programs of the same parameters agree about it, with states or
// without.
size_t parameter_region_bytes(const Program& program);
// These bytes, with the initial values; gaps are zero.
Result<std::vector<std::byte>> parameter_region(const Program& program);

}  // namespace ft
