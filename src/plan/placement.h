// Places every buffer of one step inside a single arena.
//
// Pure: equal lifetimes give equal offsets on every machine. Not for weights or
// optimizer state, which are persistent. Invariant: buffers alive at the same
// step never overlap, but for pairs that a Rolling names; overlap() checks this
// by brute force on every plan.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace ft {

struct Lifetime {
  size_t bytes = 0;
  int first_use = 0;  // step index, inclusive
  int last_use = 0;   // step index, inclusive; >= first_use
};

// Calls that may write buffer `output` over buffer `input`: they are alive
// together from the first call of the one to the last of the other, mostly one
// call alone. They share bytes only if input's offset is at least output's +
// `distance`.
struct Rolling {
  size_t output = 0, input = 0;
  ptrdiff_t distance = 0;
};

// The most bytes that such a pair can share.
size_t shared_bytes(size_t output_bytes, size_t input_bytes,
                    ptrdiff_t distance);

struct Placement {
  size_t arena_bytes = 0;
  std::vector<size_t> offsets;  // offsets[i] belongs to lifetimes[i]
  // Every placement at this alignment reaches into the last `alignment` bytes
  // below this; found while placing, a multiple of the alignment.
  size_t proven_bytes = 0;

  // No placement saves a whole unit of the alignment.
  bool is_optimal() const { return arena_bytes <= proven_bytes; }
};

// Every offset is a multiple of `alignment` (a power of two, at most 64), that
// of a buffer of 16 KB or more a multiple of 64. Starts from
// greedy orders (by size, by area, by time) with lowest-fit and a short branch
// and bound (tighten.h). Where that proves nothing it moves the buffers that
// make the peak forward in the order, until the lower bound is met or
// `max_rounds` orders have been tried, and then searches for longer; rounds
// shrink on large problems so that 10,000 buffers stay within seconds.
Placement place_buffers(std::span<const Lifetime> lifetimes,
                        size_t alignment = 16, int max_rounds = 4000,
                        std::span<const Rolling> rolling = {});

// What the buffer's offset is a multiple of.
size_t alignment_of(const Lifetime& lifetime, size_t alignment);

// Largest sum of the bytes alive at one step, less what may be shared there: no
// plan can be smaller.
size_t lower_bound_bytes(std::span<const Lifetime> lifetimes,
                         std::span<const Rolling> rolling = {});

// The step at which that sum is reached first.
int fullest_step(std::span<const Lifetime> lifetimes,
                 std::span<const Rolling> rolling = {});

// The first pair of buffers that are alive together and share a byte though no
// Rolling allows it, or that leave the arena (then both indices are equal);
// nullopt: the plan is valid.
std::optional<std::pair<size_t, size_t>> overlap(
    std::span<const Lifetime> lifetimes, const Placement& placement,
    std::span<const Rolling> rolling = {});

}  // namespace ft
