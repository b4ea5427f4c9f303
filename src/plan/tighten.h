// Makes a placement smaller by branch and bound, or proves that none is.
#pragma once

#include <cstdint>
#include <span>

#include "plan/placement.h"

namespace ft {

// Sets `plan.proven_bytes`, and offsets if fewer bytes are found to do. `work`
// is that of exact_placement.h: 1e7 take about 0.05 s.
void tighten(std::span<const Lifetime> lifetimes, size_t alignment,
             int64_t work, Placement& plan,
             std::span<const Rolling> rolling = {});

}  // namespace ft
