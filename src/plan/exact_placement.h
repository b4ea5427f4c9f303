// Branch and bound over placements: whether buffers fit into so many bytes,
// with proof either way where the work allows.
//
// Buffers are put down in the order of their offsets, each as low as those
// below allow; of all placements within the limit the one with the smallest sum
// of offsets is of that kind, so that a search without a hit is a proof. A
// branch ends where some step cannot stack what is left, or where a buffer left
// over would have had room below. What no longer meets in time is solved apart.
// Deterministic: work is counted, not timed. Not for thousands of buffers.
// Source of the order and of the two rules: Moffitt, "MiniMalloc: A Lightweight
// Memory Allocator for Hardware-Accelerated Machine Learning", 2023.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ft {

// In units of the arena's alignment.
struct StackBuffer {
  int64_t size = 0;  // above 0
  int64_t step = 1;  // offsets are multiples of this
  int first_use = 0, last_use = 0;
};

// An exception: buffer `above` may start `rise` above the start of `below`,
// less than the size of `below`, although both are alive.
struct StackOverlap {
  size_t below = 0, above = 0;
  int64_t rise = 0;  // 0 or more
};

enum class Fit { kFound, kImpossible, kUnknown };

// Looks for offsets with every buffer within `limit`; `offsets` is set if they
// are found. `work` counts down; kUnknown where it is used up.
Fit fit_within(std::span<const StackBuffer> buffers,
               std::span<const StackOverlap> overlaps, int64_t limit,
               int64_t& work, std::vector<int64_t>& offsets);

}  // namespace ft
