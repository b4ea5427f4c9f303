// Measures ft_math against the C library's double functions.
//
// By default every 1009th float (4.3 million a function, with every sign and
// exponent); FT_EXHAUSTIVE=1 in the environment takes all 2^32 of them, a few
// minutes. Errors in ulp of the exact result's own binade.
#include "kernels/math/ft_math.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

double ulp_at(double exact) {
  int exponent = 0;
  std::frexp(exact, &exponent);
  return std::ldexp(1.0, std::max(exponent - 24, -149));
}

// Largest error in ulp over the floats; not-a-number and infinities must agree.
template <class F, class G>
double max_ulp(F ours, G exact_of) {
  const uint64_t stride = std::getenv("FT_EXHAUSTIVE") != nullptr ? 1 : 1009;
  double worst = 0;
  float worst_x = 0;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += stride) {
    const auto x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    const float got = ours(x);
    const double exact = exact_of(static_cast<double>(x));
    if (std::isnan(exact)) {
      EXPECT_TRUE(std::isnan(got)) << x;
      continue;
    }
    if (std::isinf(static_cast<float>(exact)) && got == kInf) continue;
    if (exact == static_cast<double>(got)) continue;
    const double error = std::fabs(got - exact) / ulp_at(exact);
    if (!(error <= worst)) {
      worst = error;
      worst_x = x;
    }
  }
  std::printf("max error %.3f ulp at %.9g\n", worst, worst_x);
  return worst;
}

TEST(FtMath, ExpIsWithinItsBound) {
  EXPECT_LE(max_ulp(ft_expf, [](double x) { return std::exp(x); }), 1.5);
}

TEST(FtMath, LogIsWithinItsBound) {
  EXPECT_LE(max_ulp(ft_logf, [](double x) { return std::log(x); }), 1.5);
}

TEST(FtMath, TanhIsWithinItsBound) {
  EXPECT_LE(max_ulp(ft_tanhf, [](double x) { return std::tanh(x); }), 2);
}

TEST(FtMath, ErfIsWithinItsBound) {
  EXPECT_LE(max_ulp(ft_erff, [](double x) { return std::erf(x); }), 2);
}

TEST(FtMath, SqrtIsCorrectlyRounded) {
  EXPECT_LE(max_ulp(ft_sqrtf, [](double x) { return std::sqrt(x); }), 0.5);
}

TEST(FtMath, RsqrtIsWithinItsBound) {
  EXPECT_LE(max_ulp(ft_rsqrtf, [](double x) { return 1 / std::sqrt(x); }), 1.5);
}

TEST(FtMath, SpecialValuesAreThoseOfTheCLibrary) {
  EXPECT_EQ(ft_expf(0), 1.0f);
  EXPECT_EQ(ft_expf(kInf), kInf);
  EXPECT_EQ(ft_expf(-kInf), 0.0f);
  EXPECT_EQ(ft_expf(88.73f), kInf);
  EXPECT_EQ(ft_expf(-103.98f), 0.0f);
  EXPECT_EQ(ft_logf(0), -kInf);
  EXPECT_EQ(ft_logf(1), 0.0f);
  EXPECT_EQ(ft_logf(kInf), kInf);
  EXPECT_EQ(ft_tanhf(kInf), 1.0f);
  EXPECT_EQ(ft_tanhf(-kInf), -1.0f);
  EXPECT_EQ(ft_erff(-kInf), -1.0f);
  EXPECT_TRUE(std::signbit(ft_tanhf(-0.0f)));
  EXPECT_TRUE(std::signbit(ft_erff(-0.0f)));
  EXPECT_EQ(ft_fabsf(-kInf), kInf);
}

}  // namespace
