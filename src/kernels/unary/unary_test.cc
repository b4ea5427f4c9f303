// The Highway row of unary has the bits of the C99 row over floats of every
// sign and exponent, infinities and NaN. (The generic tests only take small
// random tensors.)
#include "kernels/unary/unary.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

std::vector<float> every_nth_float(uint64_t stride) {
  std::vector<float> all;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += stride)
    all.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  for (const float special :
       {0.0f, -0.0f, 1.0f, 0.6f, -0.6f, 9.02f, 88.7228394f, 88.73f,
        -103.972084f, -103.98f, INFINITY, -INFINITY, NAN})
    all.push_back(special);
  return all;
}

std::vector<float> run(ft_kernel_fn kernel, int32_t kind,
                       std::vector<float> x) {
  const ft_unary_params p{.kind = kind,
                          .count = static_cast<int32_t>(x.size()),
                          .alpha = 0.3f,
                          .saved_scale = 1,
                          .saved_zero_point = 0};
  void* in[] = {x.data()};
  void* out[] = {x.data()};
  const ft_args args{in, nullptr, out, nullptr, nullptr};
  kernel(&p, &args);
  return x;
}

bool same(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

TEST(UnaryF32, HighwayRowHasTheBitsOfTheC99Row) {
  const std::vector<float> x = every_nth_float(4001);
  for (int32_t kind = FT_UNARY_RELU; kind <= FT_UNARY_ELU; ++kind) {
    const ft_unary_params p{.kind = kind,
                            .count = 1,
                            .alpha = 0,
                            .saved_scale = 1,
                            .saved_zero_point = 0};
    if (!ft_unary_f32_hwy_accepts(&p)) continue;
    const std::vector<float> c99 = run(ft_unary_f32_c99, kind, x);
    const std::vector<float> hwy = run(ft_unary_f32_hwy, kind, x);
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_TRUE(same(c99[i], hwy[i])) << "kind " << kind << " of " << x[i]
                                        << ": " << c99[i] << " and " << hwy[i];
  }
}

}  // namespace
