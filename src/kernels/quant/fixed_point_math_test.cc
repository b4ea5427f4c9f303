// The fixed-point functions against double ones. That they have TensorFlow
// Lite's bits is shown by tests/python/test_op_oracle_elementwise.py.
#include "kernels/quant/fixed_point_math.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace {

TEST(FixedPointMath, ExpIsWithinOneMillionth) {
  double worst = 0;
  for (int64_t x = INT32_MIN; x <= 0; x += 4099) {
    const double exact = std::exp(std::ldexp(static_cast<double>(x), -26));
    const double got = std::ldexp(ft_q_exp(static_cast<int32_t>(x)), -31);
    worst = std::max(worst, std::fabs(got - exact));
  }
  EXPECT_LT(worst, 1e-6);
  EXPECT_EQ(ft_q_exp(0), INT32_MAX);
}

TEST(FixedPointMath, LogIsWithinOneMillionth) {
  double worst = 0;
  for (int64_t x = 1 << 19; x <= INT32_MAX; x += 4099) {
    const double exact = std::log(std::ldexp(static_cast<double>(x), -19));
    const double got = std::ldexp(ft_q_log(static_cast<int32_t>(x)), -26);
    worst = std::max(worst, std::fabs(got - exact));
  }
  EXPECT_LT(worst, 1e-6);
}

TEST(FixedPointMath, ReciprocalIsWithinOneMillionth) {
  double worst = 0;
  for (int64_t x = 1 << 19; x <= INT32_MAX; x += 4099) {
    int bits = 0;
    const int32_t inverse = ft_q_reciprocal(static_cast<int32_t>(x), &bits);
    const double got = std::ldexp(inverse, -31 - bits);
    const double product = got * std::ldexp(static_cast<double>(x), -19);
    worst = std::max(worst, std::fabs(product - 1));
  }
  EXPECT_LT(worst, 1e-6);
}

TEST(FixedPointMath, ShiftsSaturateAndRoundHalfAway) {
  EXPECT_EQ(ft_q_shift(1 << 30, 1), INT32_MAX);
  EXPECT_EQ(ft_q_shift(-(1 << 30) - 1, 1), INT32_MIN);
  EXPECT_EQ(ft_q_shift(5, 2), 20);
  EXPECT_EQ(ft_q_shift(6, -2), 2);
  EXPECT_EQ(ft_q_shift(-6, -2), -2);
  EXPECT_EQ(ft_q_shift(-5, -2), -1);
}

}  // namespace
