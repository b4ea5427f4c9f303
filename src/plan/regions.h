// Places the buffers of a step in several memories: what is moved most into the
// fastest, within what each has room for.
//
// Pure, like placement.h. Branch and bound over which buffer lies where; each
// leaf is a placement in every region. Exact while the work lasts, then the
// best that was found, with the bound that no assignment goes below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "plan/placement.h"

namespace ft {

struct Region {
  size_t bytes = 0;
  double cost_per_byte = 0;  // of a byte that is moved: cycles, or picojoules
};

struct RegionPlan {
  std::vector<size_t> region;      // by buffer
  std::vector<size_t> offsets;     // by buffer, in its region
  std::vector<size_t> used_bytes;  // by region
  double cost = 0;                 // of all bytes that are moved
  double bound = 0;                // no assignment costs less
  bool is_optimal = false;
};

// `moved_bytes`: of each buffer, what the calls of a step read and write.
// `regions`: at least one, fastest first. nullopt: no assignment was found that
// fits. `work`: nodes of the search, and so many for each placement.
std::optional<RegionPlan> place_in_regions(std::span<const Lifetime> lifetimes,
                                           std::span<const double> moved_bytes,
                                           std::span<const Region> regions,
                                           size_t alignment = 16,
                                           int64_t work = 100'000);

}  // namespace ft
