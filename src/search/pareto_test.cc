#include "search/pareto.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace ft {
namespace {

// Few values, so that there are many equals.
std::vector<Merits> random_merits(uint64_t seed) {
  const Random random(seed, "merits");
  std::vector<Merits> all(2 + random.below(0, 30));
  uint64_t n = 1;
  for (Merits& m : all) {
    m.quality = random.below(n++, 6);
    for (double& c : m.costs) c = random.below(n++, 6);
  }
  return all;
}

TEST(Pareto, FrontIsWhatBruteForceFinds) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const auto all = random_merits(seed);
    const auto front = pareto_front(all);
    for (size_t i = 0; i < all.size(); ++i) {
      const auto in_front = [&](const Merits& m) {
        return std::ranges::any_of(front, [&](size_t f) {
          return all[f].quality == m.quality && all[f].costs == m.costs;
        });
      };
      const bool beaten = std::ranges::any_of(
          all, [&](const Merits& m) { return dominates(m, all[i]); });
      ASSERT_EQ(in_front(all[i]), !beaten) << "seed " << seed << ", " << i;
    }
    for (size_t k = 1; k < front.size(); ++k)
      ASSERT_LE(all[front[k - 1]].costs[0], all[front[k]].costs[0]);
    const size_t at = knee(all, front);
    ASSERT_NE(std::ranges::find(front, at), front.end());
  }
}

TEST(Pareto, KneeIsWhereQualityGetsExpensive) {
  const std::vector<Merits> all = {{.quality = 0.5, .costs = {10}},
                                   {.quality = 0.9, .costs = {20}},
                                   {.quality = 0.95, .costs = {100}},
                                   {.quality = 0.7, .costs = {90}}};
  const auto front = pareto_front(all);
  EXPECT_EQ(front, (std::vector<size_t>{0, 1, 2}));
  EXPECT_EQ(knee(all, front), 1u);
}

}  // namespace
}  // namespace ft
