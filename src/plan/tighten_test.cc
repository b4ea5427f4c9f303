#include "plan/tighten.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/random.h"
#include "plan/exact_placement.h"

namespace ft {
namespace {

struct Problem {
  std::vector<StackBuffer> buffers;
  std::vector<StackOverlap> overlaps;
};

// Up to `most` buffers of mixed steps; every second problem has pairs that may
// share bytes at the one step at which they meet.
Problem random_problem(uint64_t seed, uint32_t most) {
  const Random random(seed, "random_problem");
  uint64_t draw = 0;
  const auto below = [&](uint32_t n) { return random.below(draw++, n); };
  Problem p;
  const size_t n = 2 + below(most - 1);
  for (size_t i = 0; i < n; ++i) {
    const int first = static_cast<int>(below(6));
    p.buffers.push_back({.size = 1 + below(9),
                         .step = below(4) == 0 ? 4 : 1,
                         .first_use = first,
                         .last_use = first + static_cast<int>(below(4))});
  }
  for (size_t i = 0; i < n && seed % 2 == 0; ++i)
    for (size_t j = 0; j < n; ++j)
      if (i != j && p.buffers[i].last_use == p.buffers[j].first_use &&
          below(2) == 0)
        p.overlaps.push_back(
            {.below = j,
             .above = i,
             .rise = below(static_cast<uint32_t>(p.buffers[j].size))});
  return p;
}

bool meet(const StackBuffer& a, const StackBuffer& b) {
  return a.first_use <= b.last_use && b.first_use <= a.last_use;
}

int64_t rise_of(const Problem& p, size_t below, size_t above) {
  int64_t rise = p.buffers[below].size;
  for (const StackOverlap& o : p.overlaps)
    if (o.below == below && o.above == above) rise = std::min(rise, o.rise);
  return rise;
}

// Every placement has an order from low to high, and for an order the lowest
// offsets are known.
int64_t smallest_by_brute_force(const Problem& p) {
  std::vector<size_t> order(p.buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  int64_t best = INT64_MAX;
  do {
    std::vector<int64_t> offsets(order.size(), 0);
    int64_t top = 0;
    for (size_t turn = 0; turn < order.size(); ++turn) {
      const size_t i = order[turn];
      for (size_t k = 0; k < turn; ++k)
        if (meet(p.buffers[order[k]], p.buffers[i]))
          offsets[i] =
              std::max(offsets[i], offsets[order[k]] + rise_of(p, order[k], i));
      const int64_t step = p.buffers[i].step;
      offsets[i] = (offsets[i] + step - 1) / step * step;
      top = std::max(top, offsets[i] + p.buffers[i].size);
    }
    best = std::min(best, top);
  } while (std::ranges::next_permutation(order).found);
  return best;
}

TEST(FitWithin, FindsTheSmallestOfBruteForceAndProvesThatLessIsImpossible) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    const Problem p = random_problem(seed, 6);
    const int64_t smallest = smallest_by_brute_force(p);
    std::vector<int64_t> offsets;
    int64_t work = 1'000'000;
    ASSERT_EQ(fit_within(p.buffers, p.overlaps, smallest - 1, work, offsets),
              Fit::kImpossible)
        << "seed " << seed;
    ASSERT_EQ(fit_within(p.buffers, p.overlaps, smallest, work, offsets),
              Fit::kFound)
        << "seed " << seed;
    for (size_t i = 0; i < offsets.size(); ++i) {
      EXPECT_EQ(offsets[i] % p.buffers[i].step, 0);
      EXPECT_LE(offsets[i] + p.buffers[i].size, smallest);
      for (size_t j = 0; j < offsets.size(); ++j)
        if (i != j && meet(p.buffers[i], p.buffers[j])) {
          EXPECT_TRUE(offsets[i] + rise_of(p, i, j) <= offsets[j] ||
                      offsets[j] + rise_of(p, j, i) <= offsets[i])
              << "seed " << seed;
        }
    }
  }
}

TEST(FitWithin, SaysThatItDoesNotKnowWhereTheWorkIsUsedUp) {
  const Problem p = random_problem(3, 6);
  std::vector<int64_t> offsets;
  int64_t work = 1;
  EXPECT_EQ(fit_within(p.buffers, p.overlaps, smallest_by_brute_force(p) - 1,
                       work, offsets),
            Fit::kUnknown);
}

// At most 240 bytes are alive at once, but no placement has fewer than 256.
TEST(Tighten, ProvesAnOptimumAboveTheBound) {
  const std::vector<Lifetime> lifetimes = {
      {64, 7, 11}, {80, 12, 16}, {64, 10, 15}, {32, 6, 11},
      {80, 3, 4},  {64, 8, 9},   {16, 6, 7},   {16, 6, 11},
      {80, 2, 7},  {80, 3, 6},   {64, 8, 14}};
  const Placement plan = place_buffers(lifetimes);
  EXPECT_EQ(lower_bound_bytes(lifetimes), 240u);
  EXPECT_EQ(plan.arena_bytes, 256u);
  EXPECT_EQ(plan.proven_bytes, 256u);
  EXPECT_TRUE(plan.is_optimal());
}

// Two buffers of 100 bytes cannot both begin at a multiple of 64 within 200,
// as small ones of 16 could.
TEST(Tighten, CountsWholeUnitsOfTheAlignment) {
  const std::vector<Lifetime> lifetimes = {{100, 0, 1}, {100, 1, 2}};
  EXPECT_EQ(place_buffers(lifetimes, 64).arena_bytes, 228u);
  EXPECT_TRUE(place_buffers(lifetimes, 64).is_optimal());
  EXPECT_EQ(place_buffers(lifetimes, 16).arena_bytes, 212u);
  EXPECT_TRUE(place_buffers(lifetimes, 16).is_optimal());
}

TEST(Tighten, LeavesZeroBytesWhereTheyAre) {
  const std::vector<Lifetime> lifetimes = {{0, 0, 1}, {32, 1, 2}, {0, 2, 2}};
  const Placement plan = place_buffers(lifetimes);
  EXPECT_EQ(plan.arena_bytes, 32u);
  EXPECT_TRUE(plan.is_optimal());
}

}  // namespace
}  // namespace ft
