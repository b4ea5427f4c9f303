// int8 addition and subtraction: fast rows against the C99 row for all pairs of
// values under many random quantizers.
#include "kernels/binary/binary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <vector>

#include "base/random.h"
#include "kernels/binary/linear_sum.h"

namespace {

constexpr uint64_t kSeed = 7;
constexpr int32_t kPairs = 65536;

std::vector<int8_t> run(ft_kernel_fn kernel, const ft_binary_params& p,
                        std::vector<int8_t> a, std::vector<int8_t> b) {
  std::vector<int8_t> y(kPairs);
  void* in[] = {a.data(), b.data()};
  void* out[] = {y.data()};
  const ft_args args{in, nullptr, out, nullptr, nullptr};
  kernel(&p, &args);
  return y;
}

// Draws the settings that quantizers could give.
ft_binary_params random_params(const ft::Random& random, uint64_t& n) {
  const auto below = [&](uint32_t limit) {
    return static_cast<int32_t>(random.below(n++, limit));
  };
  const auto multiplier = [&] { return (1 << 30) + below((1u << 30) - 1); };
  ft_binary_params p{};
  p.kind = below(2) ? FT_BINARY_ADD : FT_BINARY_SUB;
  p.left_shift = FT_BINARY_LEFT_SHIFT;
  p.a_zero_point = below(256) - 128;
  p.b_zero_point = below(256) - 128;
  p.y_zero_point = below(256) - 128;
  // The operand of the larger scale gets a power of two.
  p.a_multiplier = below(2) ? 1 << 30 : multiplier();
  p.b_multiplier = below(2) ? 1 << 30 : multiplier();
  p.y_multiplier = multiplier();
  p.a_shift = -below(8);
  p.b_shift = -below(8);
  p.y_shift = -10 - below(14);
  p.q_low = -128 + below(30);
  p.q_high = 127 - below(30);
  return p;
}

struct Operands {
  std::vector<int8_t> a, b;
};

Operands all_pairs() {
  Operands all;
  for (int32_t i = 0; i < kPairs; ++i) {
    all.a.push_back(static_cast<int8_t>(i / 256 - 128));
    all.b.push_back(static_cast<int8_t>(i % 256 - 128));
  }
  return all;
}

TEST(BinaryS8, HighwayRowEqualsTheC99RowOnAllPairs) {
  std::printf("seed %d\n", static_cast<int>(kSeed));
  const auto [a, b] = all_pairs();
  const ft::Random random(kSeed, "binary_test");
  uint64_t n = 0;
  for (int round = 0; round < 50; ++round) {
    ft_binary_params p = random_params(random, n);
    // One long row; or rows against a broadcast row, or a broadcast column.
    const int layout = round % 3;
    p.pair.rank = layout == 0 ? 1 : 2;
    p.pair.dims[0] = layout == 0 ? kPairs : 256;
    p.pair.dims[1] = 256;
    p.pair.a_stride[0] = layout == 0 ? 1 : 256;
    p.pair.b_stride[0] = layout == 0 ? 1 : (layout == 1 ? 0 : 1);
    p.pair.a_stride[1] = 1;
    p.pair.b_stride[1] = layout == 1 ? 1 : 0;
    ASSERT_TRUE(ft_binary_s8_hwy_accepts(&p));
    ASSERT_EQ(run(ft_binary_s8_hwy, p, a, b), run(ft_binary_s8_c99, p, a, b))
        << "round " << round;
  }
}

// As ops/binary.cc computes them from scales: of `share` and 1 in units of the
// larger one, `y` in the same unit.
ft_binary_params params_of_scales(double share, double y) {
  const auto split = [](double factor, int32_t& multiplier, int32_t& shift) {
    const double mantissa = std::frexp(factor, &shift);
    multiplier = static_cast<int32_t>(std::lround(mantissa * 2147483647.0));
  };
  ft_binary_params p{};
  p.left_shift = FT_BINARY_LEFT_SHIFT;
  p.pair = {.rank = 1, .dims = {kPairs}, .a_stride = {1}, .b_stride = {1}};
  split(share / 2, p.a_multiplier, p.a_shift);
  p.b_multiplier = 1 << 30;
  split(2 / (y * (1 << 20)), p.y_multiplier, p.y_shift);
  return p;
}

#if defined(__x86_64__)
std::vector<int8_t> run_vnni(const ft_binary_params& p, const Operands& all) {
  ft_linear_sum sum{};
  EXPECT_TRUE(ft_find_linear_sum(&p, &sum));
  std::vector<int8_t> a = all.a, b = all.b, y(a.size());
  void* in[] = {a.data(), b.data()};
  const void* aux[] = {&sum};
  void* out[] = {y.data()};
  const ft_args args{in, aux, out, nullptr, nullptr};
  ft_binary_s8_avx512vnni(&p, &args);
  return y;
}

TEST(BinaryS8, VnniRowEqualsTheC99RowWhereALineDoes) {
  if (!ft_binary_s8_avx512vnni_available()) GTEST_SKIP() << "no AVX-512 VNNI";
  const Operands all = all_pairs();
  const ft::Random random(kSeed, "binary_test: lines");
  constexpr int kRounds = 40;
  uint64_t n = 0;
  int accepted = 0;
  for (int round = 0; round < kRounds; ++round) {
    const double share = 0.05 + 0.95 * random.uniform(n++);
    ft_binary_params p = params_of_scales(share, 0.3 + random.uniform(n++));
    const ft_binary_params drawn = random_params(random, n);
    p.kind = drawn.kind;
    p.a_zero_point = drawn.a_zero_point;
    p.b_zero_point = drawn.b_zero_point;
    p.y_zero_point = drawn.y_zero_point;
    p.q_low = drawn.q_low;
    p.q_high = drawn.q_high;
    ft_linear_sum line;
    if (!ft_find_linear_sum(&p, &line)) continue;
    ++accepted;
    ASSERT_EQ(run_vnni(p, all), run(ft_binary_s8_c99, p, all.a, all.b))
        << "round " << round;
  }
  std::printf("%d of %d random quantizers are lines\n", accepted, kRounds);
  EXPECT_GT(accepted, kRounds / 2);
}

TEST(BinaryS8, VnniRowReadsAndWritesNoByteBeyondTheLast) {
  if (!ft_binary_s8_avx512vnni_available()) GTEST_SKIP() << "no AVX-512 VNNI";
  ft_binary_params p = params_of_scales(0.6137, 1.0931);
  p.q_low = -128;
  p.q_high = 127;
  for (const int32_t count : {1, 63, 64, 65, 200}) {
    const std::vector<int8_t> x(static_cast<size_t>(count), 77);
    p.pair.dims[0] = count;
    std::vector<int8_t> expected = run(ft_binary_s8_c99, p, x, x);
    expected.resize(x.size());
    ASSERT_EQ(run_vnni(p, {x, x}), expected) << count;
  }
}
#endif

// Halves are rounded away from zero, which no line does on both sides of it.
TEST(BinaryS8, RefusesQuantizersWithExactHalves) {
  ft_binary_params p = params_of_scales(1, 2);
  p.q_low = -128;
  p.q_high = 127;
  ft_linear_sum sum{};
  EXPECT_FALSE(ft_find_linear_sum(&p, &sum));
}

}  // namespace
