#include "plan/placement.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace ft {
namespace {

// 20 to 80 tensors over as many steps, sizes over three decades: the set on
// which the planners of the field have been compared.
std::vector<Lifetime> random_lifetimes(uint64_t seed) {
  const Random random(seed, "random_lifetimes");
  const auto n = 20 + random.below(0, 61);
  std::vector<Lifetime> lifetimes(n);
  for (uint32_t i = 0; i < n; ++i) {
    const int first = static_cast<int>(random.below(4 * i + 1, n));
    const int length = static_cast<int>(random.below(4 * i + 2, n / 4));
    lifetimes[i] = {.bytes = 16 * (1 + random.below(4 * i + 3, 1000)),
                    .first_use = first,
                    .last_use = std::min(first + length, static_cast<int>(n))};
  }
  return lifetimes;
}

TEST(Placement, NeverOverlapsAndStaysNearTheBoundOnRandomSets) {
  constexpr int kSets = 2000;
  double sum = 0, worst = 0;
  int optimal = 0;
  for (uint64_t seed = 1; seed <= kSets; ++seed) {
    const auto lifetimes = random_lifetimes(seed);
    const Placement plan = place_buffers(lifetimes, 16, 200);
    ASSERT_FALSE(overlap(lifetimes, plan).has_value()) << "seed " << seed;
    const double ratio = static_cast<double>(plan.arena_bytes) /
                         static_cast<double>(lower_bound_bytes(lifetimes));
    ASSERT_GE(ratio, 1.0);
    sum += ratio;
    optimal += plan.is_optimal();
    worst = std::max(worst, ratio);
  }
  RecordProperty("mean_ratio", std::to_string(sum / kSets));
  std::printf(
      "arena / lower bound over %d sets: mean %.5f, worst %.4f, optimal %d\n",
      kSets, sum / kSets, worst, optimal);
  EXPECT_LE(sum / kSets, 1.005);
  EXPECT_GE(optimal, kSets * 9 / 10);
}

// Brute force: all orders of up to seven buffers with lowest fit contain an
// optimal plan, so the search must find the same size.
TEST(Placement, EqualsBruteForceOnSmallSets) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    auto lifetimes = random_lifetimes(seed);
    lifetimes.resize(7);
    std::vector<size_t> order = {0, 1, 2, 3, 4, 5, 6};
    size_t best = SIZE_MAX;
    do {
      std::vector<size_t> offsets(7, 0);
      size_t arena = 0;
      for (size_t turn = 0; turn < 7; ++turn) {
        const Lifetime& l = lifetimes[order[turn]];
        size_t offset = 0;
        for (bool moved = true; moved;) {
          moved = false;
          for (size_t before = 0; before < turn; ++before) {
            const Lifetime& o = lifetimes[order[before]];
            const size_t o_begin = offsets[order[before]];
            if (l.first_use > o.last_use || o.first_use > l.last_use) continue;
            if (offset + l.bytes <= o_begin || o_begin + o.bytes <= offset)
              continue;
            offset = o_begin + o.bytes;
            moved = true;
          }
        }
        offsets[order[turn]] = offset;
        arena = std::max(arena, offset + l.bytes);
      }
      best = std::min(best, arena);
    } while (std::next_permutation(order.begin(), order.end()));
    EXPECT_EQ(place_buffers(lifetimes).arena_bytes, best) << "seed " << seed;
  }
}

TEST(Placement, OverlapCheckFindsABadPlan) {
  const std::vector<Lifetime> lifetimes = {{16, 0, 2}, {16, 2, 3}};
  EXPECT_TRUE(overlap(lifetimes, {24, {0, 8}}).has_value());
  EXPECT_TRUE(overlap(lifetimes, {16, {0, 16}}).has_value());
  EXPECT_FALSE(overlap(lifetimes, {32, {0, 16}}).has_value());
}

// Chains in which each output may roll over its input, beside other buffers.
TEST(Placement, RollsOutputsOverInputsThatDie) {
  constexpr int kSets = 60;
  double sum = 0;
  for (uint64_t seed = 1; seed <= kSets; ++seed) {
    auto lifetimes = random_lifetimes(seed);
    const Random random(seed, "rolling");
    std::vector<Rolling> rolling;
    for (size_t i = 0; i + 1 < lifetimes.size(); i += 2) {
      lifetimes[i + 1].first_use = lifetimes[i].last_use;
      lifetimes[i + 1].last_use =
          std::max(lifetimes[i + 1].last_use, lifetimes[i].last_use);
      const auto out = static_cast<ptrdiff_t>(lifetimes[i + 1].bytes);
      rolling.push_back(
          {i + 1, i, out - random.below(i, static_cast<uint32_t>(2 * out))});
    }
    const Placement plan = place_buffers(lifetimes, 16, 400, rolling);
    ASSERT_EQ(overlap(lifetimes, plan, rolling), std::nullopt) << seed;
    const double ratio =
        static_cast<double>(plan.arena_bytes) /
        static_cast<double>(lower_bound_bytes(lifetimes, rolling));
    ASSERT_GE(ratio, 1.0) << seed;
    ASSERT_LE(lower_bound_bytes(lifetimes, rolling),
              lower_bound_bytes(lifetimes));
    sum += ratio;
  }
  std::printf("rolling: arena / lower bound over %d sets: mean %.4f\n", kSets,
              sum / kSets);
  EXPECT_LE(sum / kSets, 1.05);
}

// 100 bytes over 100 at a distance of 16: either may be placed first.
TEST(Placement, RollsAtTheDistance) {
  const std::vector<Lifetime> lifetimes = {{112, 0, 1}, {96, 1, 2}};
  const std::vector<Rolling> rolling = {{1, 0, 16}};
  EXPECT_EQ(lower_bound_bytes(lifetimes, rolling), 208u - 80u);
  EXPECT_EQ(place_buffers(lifetimes, 16, 100, rolling).arena_bytes, 128u);
}

TEST(Placement, OverlapCheckKnowsTheDistance) {
  const std::vector<Lifetime> lifetimes = {{16, 0, 2}, {16, 2, 3}};
  const std::vector<Rolling> rolling = {{1, 0, 8}};
  EXPECT_FALSE(overlap(lifetimes, {24, {8, 0}}, rolling).has_value());
  EXPECT_TRUE(overlap(lifetimes, {24, {0, 8}}, rolling).has_value());
  EXPECT_TRUE(overlap(lifetimes, {24, {7, 0}}, rolling).has_value());
  // Over several calls it is the same distance; without one they must not meet.
  const std::vector<Lifetime> longer = {{16, 0, 3}, {16, 2, 3}};
  EXPECT_FALSE(overlap(longer, {24, {8, 0}}, rolling).has_value());
  EXPECT_TRUE(overlap(longer, {24, {7, 0}}, rolling).has_value());
  EXPECT_TRUE(overlap(longer, {24, {8, 0}}).has_value());
}

TEST(Placement, EmptyAndSingle) {
  EXPECT_EQ(place_buffers({}).arena_bytes, 0u);
  const std::vector<Lifetime> one = {{100, 0, 0}};
  EXPECT_EQ(place_buffers(one).arena_bytes, 100u);
}

}  // namespace
}  // namespace ft
