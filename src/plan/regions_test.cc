#include "plan/regions.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace ft {
namespace {

struct Problem {
  std::vector<Lifetime> lifetimes;
  std::vector<double> moved;
  std::vector<Region> regions;
};

Problem random_problem(uint64_t seed, uint32_t most, size_t num_regions) {
  const Random random(seed, "random regions");
  uint64_t draw = 0;
  const auto below = [&](uint32_t n) { return random.below(draw++, n); };
  Problem p;
  const uint32_t n = 2 + below(most - 1);
  for (uint32_t i = 0; i < n; ++i) {
    const int first = static_cast<int>(below(6));
    p.lifetimes.push_back({.bytes = 16 * size_t{1 + below(8)},
                           .first_use = first,
                           .last_use = first + static_cast<int>(below(4))});
    p.moved.push_back(static_cast<double>(p.lifetimes[i].bytes) *
                      (1 + below(6)));
  }
  for (size_t r = 0; r < num_regions; ++r)
    p.regions.push_back({.bytes = 16 * size_t{4 + below(12)},
                         .cost_per_byte = static_cast<double>(1 + 3 * r)});
  return p;
}

// The least cost of all assignments; negative: none fits.
double best_by_brute_force(const Problem& p) {
  const size_t n = p.lifetimes.size(), k = p.regions.size();
  size_t assignments = 1;
  for (size_t i = 0; i < n; ++i) assignments *= k;
  double best = -1;
  for (size_t a = 0; a < assignments; ++a) {
    std::vector<std::vector<Lifetime>> in(k);
    double cost = 0;
    for (size_t i = 0, rest = a; i < n; ++i, rest /= k) {
      in[rest % k].push_back(p.lifetimes[i]);
      cost += p.moved[i] * p.regions[rest % k].cost_per_byte;
    }
    bool fits = true;
    for (size_t r = 0; r < k; ++r)
      fits = fits && place_buffers(in[r]).arena_bytes <= p.regions[r].bytes;
    if (fits && (best < 0 || cost < best)) best = cost;
  }
  return best;
}

TEST(Regions, EqualsBruteForceOverAllAssignments) {
  int without = 0;
  for (uint64_t seed = 1; seed <= 120; ++seed) {
    const Problem p = random_problem(seed, 7, 2 + seed % 2);
    const auto plan = place_in_regions(p.lifetimes, p.moved, p.regions);
    const double best = best_by_brute_force(p);
    without += best < 0;
    ASSERT_EQ(plan.has_value(), best >= 0) << "seed " << seed;
    if (!plan) continue;
    EXPECT_DOUBLE_EQ(plan->cost, best) << "seed " << seed;
    EXPECT_TRUE(plan->is_optimal);
  }
  EXPECT_GT(without, 0);
}

TEST(Regions, NoTwoBuffersShareAByteOfARegion) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Problem p = random_problem(seed, 40, 2);
    p.regions = {{.bytes = 512, .cost_per_byte = 1},
                 {.bytes = 1 << 20, .cost_per_byte = 4}};
    const auto plan =
        place_in_regions(p.lifetimes, p.moved, p.regions, 16, 2000);
    ASSERT_TRUE(plan.has_value());
    EXPECT_LE(plan->bound, plan->cost);
    for (size_t r = 0; r < 2; ++r) {
      EXPECT_LE(plan->used_bytes[r], p.regions[r].bytes);
      std::vector<Lifetime> here;
      Placement placed{.arena_bytes = plan->used_bytes[r], .offsets = {}};
      for (size_t i = 0; i < p.lifetimes.size(); ++i)
        if (plan->region[i] == r) {
          here.push_back(p.lifetimes[i]);
          placed.offsets.push_back(plan->offsets[i]);
        }
      EXPECT_FALSE(overlap(here, placed).has_value()) << "seed " << seed;
    }
  }
}

// However little work is allowed, room in the slower region is found.
TEST(Regions, HandsOnWhatDoesNotFit) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Problem p = random_problem(seed, 80, 2);
    p.regions = {{.bytes = 400, .cost_per_byte = 1},
                 {.bytes = 1 << 20, .cost_per_byte = 4}};
    const int64_t nodes = static_cast<int64_t>(p.lifetimes.size()) + 1;
    const auto plan =
        place_in_regions(p.lifetimes, p.moved, p.regions, 16, nodes);
    ASSERT_TRUE(plan.has_value()) << "seed " << seed;
    EXPECT_LE(plan->used_bytes[0], 400u);
  }
}

TEST(Regions, OneRegionIsAPlacement) {
  const std::vector<Lifetime> lifetimes = {{64, 0, 1}, {32, 1, 2}};
  const std::vector<double> moved = {64, 96};
  const std::vector<Region> enough = {{.bytes = 96, .cost_per_byte = 2}};
  const std::vector<Region> tight = {{.bytes = 80, .cost_per_byte = 2}};
  EXPECT_EQ(place_in_regions(lifetimes, moved, enough)->used_bytes[0], 96u);
  EXPECT_FALSE(place_in_regions(lifetimes, moved, tight).has_value());
}

}  // namespace
}  // namespace ft
