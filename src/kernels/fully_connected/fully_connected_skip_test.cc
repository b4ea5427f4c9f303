// Rows that skip zeros against the rows that multiply them: bits, signs of zero
// and what is promised of weights that are not finite.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/fully_connected/fully_connected.h"
#include "kernels/matmul/matmul.h"

namespace ft {
namespace {

using Floats = std::vector<float>;

Floats normals(uint64_t stream, int count) {
  const Random random(11, stream);
  Floats v(static_cast<size_t>(count));
  for (size_t i = 0; i < v.size(); ++i) v[i] = random.normal(i);
  return v;
}

// As a ReLU leaves it, with a few negative zeros and weights of all sizes.
Floats rectified(Floats v) {
  for (size_t i = 0; i < v.size(); ++i) {
    if (v[i] < 0) v[i] = i % 5 == 0 ? -0.0f : 0.0f;
    if (i % 11 == 3) v[i] *= 1e-30f;
  }
  return v;
}

// Values whose products underflow, cancel or are zeros of either sign.
Floats awkward(Floats v) {
  for (size_t i = 0; i < v.size(); ++i) {
    if (i % 7 == 1) v[i] *= 1e-20f;
    if (i % 7 == 2) v[i] = -0.0f;
    if (i % 7 == 3 && i > 0) v[i] = -v[i - 1];
  }
  return v;
}

bool same_bits(const Floats& a, const Floats& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

template <class Params>
Floats run(ft_kernel_fn kernel, const Params& p, std::vector<void*> in,
           int count, const void* const* aux = nullptr) {
  Floats y(static_cast<size_t>(count), 7.0f);
  void* out[] = {y.data()};
  in.resize(6, nullptr);
  const ft_args args{in.data(), aux, out, nullptr, nullptr};
  kernel(&p, &args);
  return y;
}

TEST(FullyConnectedSkip, HasTheBitsOfTheRowThatSkipsNothing) {
  const int sizes[][3] = {{1, 1, 1}, {7, 5, 3}, {4, 33, 16}, {9, 8, 61}};
  for (const auto& [rows, n, k] : sizes)
    for (const int32_t act : {FT_ACT_NONE, FT_ACT_RELU, FT_ACT_RELU6})
      for (const bool with_bias : {false, true}) {
        ft_fully_connected_params p{};
        p.rows = rows;
        p.n = n;
        p.k = k;
        p.act = act;
        p.x_scale = 1;
        Floats x = rectified(normals(1, rows * k));
        Floats w = awkward(normals(2, n * k)), bias = normals(3, n);
        const std::vector<void*> in = {x.data(), w.data(),
                                       with_bias ? bias.data() : nullptr};
        EXPECT_TRUE(
            same_bits(run(ft_fully_connected_f32_c99, p, in, rows * n),
                      run(ft_fully_connected_skip_f32_c99, p, in, rows * n)))
            << rows << " " << n << " " << k << " act " << act;
      }
}

// The one difference: 0 times what is not finite.
TEST(FullyConnectedSkip, LeavesOutWeightsThatAreNotFinite) {
  ft_fully_connected_params p{};
  p.rows = p.n = 1;
  p.k = 2;
  p.x_scale = 1;
  Floats x = {0, 2}, w = {std::numeric_limits<float>::infinity(), 3};
  EXPECT_TRUE(std::isnan(
      run(ft_fully_connected_f32_c99, p, {x.data(), w.data()}, 1)[0]));
  EXPECT_EQ(run(ft_fully_connected_skip_f32_c99, p, {x.data(), w.data()}, 1)[0],
            6);
}

ft_matmul_params matmul_params(int form) {
  ft_matmul_params p{};
  p.batch = 1 + (form & 1);
  p.trans_a = form >> 1 & 1;
  p.trans_b = form >> 2 & 1;
  p.broadcast_b = p.batch > 1 && (form >> 3 & 1) != 0;
  p.alpha = (form & 16) != 0 ? -0.3f : 1.0f;
  p.m = 6;
  p.n = 19;
  p.k = 13;
  return p;
}

TEST(MatmulSkip, HasTheBitsOfTheRowThatSkipsNothing) {
  for (int form = 0; form < 32; ++form) {
    const ft_matmul_params p = matmul_params(form);
    const int a_size = p.batch * p.m * p.k, b_size = p.batch * p.k * p.n;
    const int c_size = p.batch * p.m * p.n;
    Floats zeros_a = rectified(normals(4, a_size)), b = normals(5, b_size);
    Floats a = awkward(normals(6, a_size)), zeros_b = normals(7, b_size);
    b = awkward(std::move(b));
    zeros_b = rectified(std::move(zeros_b));
    EXPECT_TRUE(same_bits(
        run(ft_matmul_f32_c99, p, {zeros_a.data(), b.data()}, c_size),
        run(ft_matmul_skip_a_f32_c99, p, {zeros_a.data(), b.data()}, c_size)))
        << form;
    EXPECT_TRUE(same_bits(
        run(ft_matmul_f32_c99, p, {a.data(), zeros_b.data()}, c_size),
        run(ft_matmul_skip_b_f32_c99, p, {a.data(), zeros_b.data()}, c_size)))
        << form;
  }
}

TEST(MatmulSkip, HasTheBitsBesideInt8) {
  for (int form = 0; form < 32; ++form)
    for (const int32_t axis :
         {FT_SCALE_PER_TENSOR, FT_SCALE_ALONG_K, FT_SCALE_ALONG_MN}) {
      ft_matmul_params p = matmul_params(form);
      p.scale_axis = axis;
      p.b_zero_point = -9;
      Floats a = rectified(normals(4, p.batch * p.m * p.k));
      const Random random(11, "int8");
      std::vector<int8_t> b(static_cast<size_t>(p.batch * p.k * p.n));
      for (size_t i = 0; i < b.size(); ++i)
        b[i] = static_cast<int8_t>(random.bits(i) & 255u);
      Floats scales = normals(8, p.k + p.n);
      const void* aux[] = {scales.data()};
      const int count = p.batch * p.m * p.n;
      EXPECT_TRUE(same_bits(
          run(ft_matmul_f32s8_c99, p, {a.data(), b.data()}, count, aux),
          run(ft_matmul_skip_a_f32s8_c99, p, {a.data(), b.data()}, count, aux)))
          << form << " axis " << axis;
    }
}

}  // namespace
}  // namespace ft
