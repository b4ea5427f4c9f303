// What the generic tests cannot know of pooling, quantization and movement.
#include "ops/movement.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/pool2d/pool2d.h"
#include "kernels/quantize/quantize.h"

namespace ft {
namespace {

void run(ft_kernel_fn kernel, const void* params, std::vector<void*> in,
         void* out) {
  void* const outs[] = {out};
  const ft_args args{in.data(), nullptr, outs, nullptr, nullptr};
  kernel(params, &args);
}

TEST(StridedParams, MergesDimensionsThatAreWalkedAsOne) {
  // [2, 3, 4, 5] with the first two dimensions exchanged: rows of 20.
  const std::vector<int64_t> dims = {3, 2, 4, 5}, strides = {20, 60, 5, 1};
  const ft_strided_params p =
      strided_params(DType::kF32, dims, strides, 7, 120);
  EXPECT_EQ(p.dims[7], 20);
  EXPECT_EQ(p.strides[7], 1);
  EXPECT_EQ(p.dims[6], 2);
  EXPECT_EQ(p.strides[6], 60);
  EXPECT_EQ(p.dims[5], 3);
  EXPECT_EQ(p.strides[5], 20);
  EXPECT_EQ(p.offset, 7);
  EXPECT_EQ(std::accumulate(p.dims, p.dims + 5, 0), 5);
}

TEST(StridedParams, DropsDimensionsOfOne) {
  const std::vector<int64_t> dims = {1, 6, 1}, strides = {99, 3, 55};
  const ft_strided_params p = strided_params(DType::kS8, dims, strides, 0, 18);
  EXPECT_EQ(p.dims[7], 6);
  EXPECT_EQ(p.strides[7], 3);
  EXPECT_EQ(p.dims[6], 1);
}

TEST(Quantize, SaturatesWhatNoInt32Holds) {
  const float inf = std::numeric_limits<float>::infinity();
  std::vector<float> x = {inf,           -inf,  3e38f, -3e38f,
                          std::nanf(""), 0.25f, -0.25f};
  std::vector<int8_t> q(x.size());
  const ft_quantize_params p{.count = static_cast<int32_t>(x.size()),
                             .scale = 0.5f,
                             .zero_point = 3,
                             .in_zero_point = 0,
                             .multiplier = 0,
                             .shift = 0};
  run(&ft_quantize_f32s8_c99, &p, {x.data()}, q.data());
  EXPECT_EQ(q, (std::vector<int8_t>{127, -128, 127, -128, -128, 4, 2}));
}

// The int8 row sees the same windows as the float row, which finite
// differences check; ties are common among few int8 values.
TEST(MaxPool2dGrad, OfInt8EqualsThatOfTheSameFloats) {
  const ft_pool2d_params p{.n = 2,
                           .h = 7,
                           .w = 6,
                           .c = 3,
                           .oh = 4,
                           .ow = 5,
                           .filter_h = 3,
                           .filter_w = 2,
                           .stride_h = 2,
                           .stride_w = 1,
                           .pad_top = 1,
                           .pad_left = 0,
                           .act = FT_ACT_NONE,
                           .act_min = -128,
                           .act_max = 127};
  std::vector<int8_t> x(2 * 7 * 6 * 3), y(2 * 4 * 5 * 3);
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = static_cast<int8_t>(static_cast<int>(i * 7919 % 13) - 6);
  run(&ft_max_pool2d_s8_c99, &p, {x.data()}, y.data());
  std::vector<float> dy(y.size());
  std::iota(dy.begin(), dy.end(), 1.0f);
  std::vector<float> fx(x.begin(), x.end()), fy(y.size());
  run(&ft_max_pool2d_f32_c99, &p, {fx.data()}, fy.data());
  EXPECT_EQ(fy, std::vector<float>(y.begin(), y.end()));
  std::vector<float> dx(x.size()), expected(x.size());
  run(&ft_max_pool2d_grad_f32s8_c99, &p, {dy.data(), x.data(), y.data()},
      dx.data());
  run(&ft_max_pool2d_grad_f32_c99, &p, {dy.data(), fx.data(), fy.data()},
      expected.data());
  EXPECT_EQ(dx, expected);
  // Every window hands on its whole gradient.
  EXPECT_EQ(std::accumulate(dx.begin(), dx.end(), 0.0f),
            std::accumulate(dy.begin(), dy.end(), 0.0f));
}

}  // namespace
}  // namespace ft
