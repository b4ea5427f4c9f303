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

// No placement at this alignment is smaller: at one step every buffer but the
// uppermost takes whole units.
size_t aligned_bound_bytes(std::span<const Lifetime> lifetimes,
                           size_t alignment,
                           std::span<const Rolling> rolling = {});

}  // namespace ft
