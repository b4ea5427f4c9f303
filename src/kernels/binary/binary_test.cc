// int8 addition and subtraction: the Highway row against the C99 row for all
// pairs of values under many random quantizers.
#include "kernels/binary/binary.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <vector>

#include "base/random.h"

namespace {

constexpr uint64_t kSeed = 7;
constexpr int32_t kPairs = 65536;

std::vector<int8_t> run(ft_kernel_fn kernel, const ft_binary_params& p,
                        std::vector<int8_t> a, std::vector<int8_t> b) {
  std::vector<int8_t> y(kPairs);
  void* in[] = {a.data(), b.data()};
  void* out[] = {y.data()};
  const ft_args args{in, nullptr, out, nullptr};
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

TEST(BinaryS8, HighwayRowEqualsTheC99RowOnAllPairs) {
  std::printf("seed %d\n", static_cast<int>(kSeed));
  std::vector<int8_t> a(kPairs), b(kPairs);
  for (int32_t i = 0; i < kPairs; ++i) {
    a[static_cast<size_t>(i)] = static_cast<int8_t>(i / 256 - 128);
    b[static_cast<size_t>(i)] = static_cast<int8_t>(i % 256 - 128);
  }
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

}  // namespace
