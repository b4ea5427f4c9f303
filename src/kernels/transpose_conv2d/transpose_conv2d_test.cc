// int8 transposed convolution against the scatter that defines it.
#include "kernels/transpose_conv2d/transpose_conv2d.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "kernels/quant/naive_s8.h"

namespace ft {
namespace {

constexpr uint64_t kSeed = 31;

std::vector<int8_t> random_s8(int n, uint64_t stream) {
  const Random random(kSeed, stream);
  std::vector<int8_t> v(static_cast<size_t>(n));
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<int8_t>(static_cast<int>(random.below(i, 255)) - 127);
  return v;
}

TEST(TransposeConv2dS8, EqualsScatter) {
  ft_conv_params p{};
  p.batch = 2;
  p.in_h = 4;
  p.in_w = 3;
  p.in_c = 5;
  p.out_c = 6;
  p.k_h = 3;
  p.k_w = 4;
  p.stride_h = 2;
  p.stride_w = 3;
  p.pad_top = 1;
  p.pad_left = 2;
  p.out_h = 8;
  p.out_w = 9;
  p.groups = p.dilation_h = p.dilation_w = 1;
  p.x_zero_point = -5;
  p.y_zero_point = 7;
  p.q_low = -90;
  p.q_high = 101;
  auto x = random_s8(p.batch * p.in_h * p.in_w * p.in_c, 1);
  auto w = random_s8(p.out_c * p.k_h * p.k_w * p.in_c, 2);
  std::vector<int32_t> bias{5, -700, 81, 1200, -3, 0};
  const std::vector<int32_t> multiplier{1 << 30,    1500000000, 2147483647,
                                        1234567890, 1073741825, 2000000001};
  const std::vector<int32_t> shift{-9, -8, -7, -9, -10, -8};

  const size_t outputs = static_cast<size_t>(p.batch * p.out_h * p.out_w);
  std::vector<int64_t> acc(outputs * static_cast<size_t>(p.out_c));
  const auto at = [](int i) { return static_cast<size_t>(i); };
  for (int pixel = 0; pixel < p.batch * p.in_h * p.in_w; ++pixel) {
    const int n = pixel / (p.in_h * p.in_w), iy = pixel / p.in_w % p.in_h;
    for (int e = 0; e < p.out_c * p.k_h * p.k_w; ++e) {
      const int oy = iy * p.stride_h - p.pad_top + e / p.k_w % p.k_h;
      const int ox = pixel % p.in_w * p.stride_w - p.pad_left + e % p.k_w;
      if (oy < 0 || ox < 0 || oy >= p.out_h || ox >= p.out_w) continue;
      const int to =
          ((n * p.out_h + oy) * p.out_w + ox) * p.out_c + e / (p.k_h * p.k_w);
      for (int ci = 0; ci < p.in_c; ++ci)
        acc[at(to)] += (x[at(pixel * p.in_c + ci)] - p.x_zero_point) *
                       w[at(e * p.in_c + ci)];
    }
  }
  std::vector<int8_t> y(acc.size()), want;
  for (size_t i = 0; i < acc.size(); ++i) {
    const size_t c = i % static_cast<size_t>(p.out_c);
    want.push_back(naive_requantize(acc[i] + bias[c], multiplier[c], shift[c],
                                    p.y_zero_point, p.q_low, p.q_high));
  }
  void* in[] = {x.data(), w.data(), bias.data()};
  const void* aux[] = {multiplier.data(), shift.data()};
  void* out[] = {y.data()};
  const ft_args args{in, aux, out, nullptr, nullptr};
  ft_transpose_conv2d_s8_c99(&p, &args);
  EXPECT_EQ(y, want);
}

}  // namespace
}  // namespace ft
