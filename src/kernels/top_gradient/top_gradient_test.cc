// The selection against a full sort by magnitude, over random vectors with many
// equal magnitudes, and what it says of values that are not numbers.
#include "kernels/top_gradient/top_gradient.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "base/random.h"
#include "kernels/select/select.h"

namespace {

constexpr uint64_t kSeed = 23;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

struct Kept {
  std::vector<float> values;
  std::vector<int32_t> positions;
};

Kept select(std::vector<float> grad, int32_t kept) {
  const auto k = static_cast<size_t>(kept);
  Kept got{std::vector<float>(k), std::vector<int32_t>(k)};
  int32_t scratch[FT_SELECT_DIGITS];
  void* in[] = {grad.data()};
  void* out[] = {got.values.data(), got.positions.data()};
  const ft_args args{in, nullptr, out, scratch, nullptr};
  const ft_top_gradient_params p{static_cast<int32_t>(grad.size()), kept};
  ft_top_gradient_f32_c99(&p, &args);
  return got;
}

std::vector<int32_t> sorted_positions(const std::vector<float>& grad,
                                      int32_t kept) {
  std::vector<int32_t> order(grad.size());
  std::iota(order.begin(), order.end(), 0);
  const auto size_of = [&](int32_t i) {
    return std::fabs(grad[static_cast<size_t>(i)]);
  };
  std::ranges::stable_sort(
      order, [&](int32_t a, int32_t b) { return size_of(a) > size_of(b); });
  order.resize(static_cast<size_t>(kept));
  std::ranges::sort(order);
  return order;
}

// Few different magnitudes, zeros of both signs, and a wide range of exponents.
std::vector<float> random_gradient(size_t n, uint64_t seed) {
  const ft::Random random(kSeed + seed, "grad");
  const uint32_t levels = 2 + random.below(1, 40);
  std::vector<float> grad(n);
  for (size_t i = 0; i < n; ++i) {
    const auto level = static_cast<int>(random.below(3 * i + 2, levels));
    const float odd = 1 + 0.25f * static_cast<float>(level % 3);
    const float size = level == 0 ? 0.0f : std::ldexp(odd, 3 * (level - 20));
    grad[i] = random.below(3 * i + 3, 2) == 0 ? size : -size;
    if (seed % 3 == 0) grad[i] = random.normal(3 * i + 4);
  }
  return grad;
}

TEST(TopGradient, EqualsAFullSortWithTies) {
  std::printf("seed %d\n", static_cast<int>(kSeed));
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const ft::Random random(kSeed + seed, "size");
    const size_t n = 1 + random.below(0, seed < 20 ? 3 : 700);
    const std::vector<float> grad = random_gradient(n, seed);
    const auto kept =
        static_cast<int32_t>(1 + random.below(1, static_cast<uint32_t>(n)));
    for (const int32_t k : {1, kept, static_cast<int32_t>(n)}) {
      const Kept got = select(grad, k);
      ASSERT_EQ(got.positions, sorted_positions(grad, k))
          << "seed " << seed << ", " << k << " of " << n;
      for (size_t i = 0; i < got.values.size(); ++i)
        ASSERT_EQ(got.values[i], grad[static_cast<size_t>(got.positions[i])]);
    }
  }
}

TEST(TopGradient, TiesGoToTheFirst) {
  EXPECT_EQ(select({1, -2, 2, 1, -2}, 2).positions,
            (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(select({0, -0.0f, 0}, 2).positions, (std::vector<int32_t>{0, 1}));
}

// What is not finite always gets through to the parameters.
TEST(TopGradient, NanIsAboveInfinityAndBothAboveNumbers) {
  const float most = std::numeric_limits<float>::max();
  const std::vector<float> grad = {most, -kInf, 3, -kNan, most};
  EXPECT_EQ(select(grad, 1).positions, (std::vector<int32_t>{3}));
  EXPECT_TRUE(std::isnan(select(grad, 1).values[0]));
  EXPECT_EQ(select(grad, 2).positions, (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(select(grad, 3).positions, (std::vector<int32_t>{0, 1, 3}));
}

}  // namespace
