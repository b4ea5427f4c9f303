/* The functions of unary.h that take more than one operation. Needs real.h. */
#ifndef FT_KERNELS_UNARY_MATH_H_
#define FT_KERNELS_UNARY_MATH_H_

#include "kernels/real.h"

static inline ft_real ft_logistic(ft_real x) { return 1 / (1 + FT_EXP(-x)); }

/* e^x - 1 without cancellation near 0: with t = tanh(x/2), 2t / (1 - t). */
static inline ft_real ft_expm1(ft_real x) {
  const ft_real t = FT_TANH(x * FT_R(0.5));
  return 2 * t / (1 - t);
}

/* Distribution function of the normal distribution. */
static inline ft_real ft_normal_cdf(ft_real x) {
  return FT_R(0.5) * (1 + FT_ERF(x * FT_R(0.70710678118654752)));
}

/* tanh(sqrt(2/pi) (x + 0.044715 x^3)) */
static inline ft_real ft_gelu_tanh(ft_real x) {
  return FT_TANH(FT_R(0.79788456080286536) *
                 (x + FT_R(0.044715) * (x * x * x)));
}

static inline ft_real ft_hard_swish(ft_real x) {
  const ft_real t = x + 3;
  return x * (t < 0 ? 0 : (t > 6 ? 6 : t)) / 6;
}

#endif /* FT_KERNELS_UNARY_MATH_H_ */
