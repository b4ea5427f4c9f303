/* exp, log and 1/x of fixed-point numbers, bit-equal to those that TensorFlow
 * Lite's reference softmax and log-softmax compute.
 *
 * Qn.m: an int32 whose value is raw * 2^-m, with n + m = 31. A product of Qa
 * and Qb numbers is Q(a + b). */
#ifndef FT_KERNELS_QUANT_FIXED_POINT_MATH_H_
#define FT_KERNELS_QUANT_FIXED_POINT_MATH_H_

#include "kernels/quant/fixed_point.h"

static inline int32_t ft_q_mul(int32_t a, int32_t b) {
  return ft_rounding_doubling_high_mul(a, b);
}

/* Sums wrap, as the reference's do in practice. */
static inline int32_t ft_q_add(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a + (uint32_t)b);
}

static inline int32_t ft_q_sub(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a - (uint32_t)b);
}

/* x * 2^exponent: saturated to the left, rounded to the right. */
static inline int32_t ft_q_shift(int32_t x, int exponent) {
  int64_t wide;
  if (exponent <= 0) return ft_rounding_shift_right(x, -exponent);
  wide = (int64_t)((uint64_t)(int64_t)x << exponent);
  if (wide > INT32_MAX) return INT32_MAX;
  return wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* Zeros above the highest one; 32 for 0. */
static inline int ft_leading_zeros(uint32_t x) {
  int n = 32;
  while (x != 0) {
    x >>= 1;
    --n;
  }
  return n;
}

/* (a + b) / 2, half away from zero. */
static inline int32_t ft_q_half_sum(int32_t a, int32_t b) {
  const int64_t sum = (int64_t)a + b;
  return (int32_t)((sum + (sum >= 0 ? 1 : -1)) / 2);
}

/* e^x in Q0.31 for x in [-1/4, 0) in Q0.31: Taylor's series at -1/8. */
static inline int32_t ft_q_exp_quarter(int32_t x) {
  const int32_t exp_of_minus_eighth = 1895147668, third = 715827883;
  const int32_t t = ft_q_add(x, 1 << 28);
  const int32_t t2 = ft_q_mul(t, t), t3 = ft_q_mul(t2, t);
  const int32_t t4_over_4 = ft_q_shift(ft_q_mul(t2, t2), -2);
  const int32_t tail =
      ft_q_shift(ft_q_add(ft_q_mul(ft_q_add(t4_over_4, t3), third), t2), -1);
  return ft_q_add(exp_of_minus_eighth,
                  ft_q_mul(exp_of_minus_eighth, ft_q_add(t, tail)));
}

/* e^x in Q0.31 for x <= 0 in Q5.26: the part below 1/4 by the series, then one
 * factor e^-(2^i) for each higher bit of -x. */
static inline int32_t ft_q_exp(int32_t x) {
  static const int32_t kFactor[7] = {
      /* e^-1/4, e^-1/2, e^-1 ... e^-16 */
      1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
  const int32_t quarter = 1 << 24;
  const int32_t low = (x & (quarter - 1)) - quarter; /* in [-1/4, 0) */
  const int32_t rest = ft_q_sub(low, x);
  int32_t y = ft_q_exp_quarter(ft_q_shift(low, 5));
  int i;
  if (x == 0) return INT32_MAX;
  for (i = 0; i < 7; ++i)
    if (rest & (quarter << i)) y = ft_q_mul(y, kFactor[i]);
  return y;
}

/* 1 / (1 + x) in Q0.31 for x in [0, 1) in Q0.31: three Newton steps from
 * 48/17 - 32/17 d for the reciprocal of d = (1 + x) / 2. */
static inline int32_t ft_q_reciprocal_of_one_plus(int32_t x) {
  const int32_t d = ft_q_half_sum(x, INT32_MAX);
  int32_t y = ft_q_add(1515870810, ft_q_mul(d, -1010580540)); /* Q2.29 */
  int i;
  for (i = 0; i < 3; ++i) {
    const int32_t error = ft_q_sub(1 << 29, ft_q_mul(d, y));
    y = ft_q_add(y, ft_q_shift(ft_q_mul(y, error), 2));
  }
  return ft_q_shift(y, 1);
}

/* 1 / x = result * 2^-bits, result in Q0.31, for x > 0 in Q12.19. */
static inline int32_t ft_q_reciprocal(int32_t x, int* bits) {
  const int zeros = ft_leading_zeros((uint32_t)x);
  *bits = 12 - zeros;
  return ft_q_reciprocal_of_one_plus(
      (int32_t)(((uint32_t)x << zeros) - ((uint32_t)1 << 31)));
}

/* log x in Q5.26 for x >= 1 in Q12.19.
 *
 * x = 2^k r with r near 2^-1/4: of two candidates (r taken from x, and from x
 * times sqrt(1/2)) the smaller r and larger k hold. Then k log 2 plus a
 * rational approximation of log r in q = 2 (r - 2^-1/4). */
static inline int32_t ft_q_log(int32_t x) {
  const int32_t log_2 = 1488522236, sqrt_half = 1518500250;
  const int32_t fourth_root_half = 1805811301;
  const int32_t quarter = ft_q_shift(536870912, -6); /* in Q6.25 */
  const int zeros_a = ft_leading_zeros((uint32_t)x);
  const int zeros_b = ft_leading_zeros((uint32_t)ft_q_mul(x, sqrt_half)) - 1;
  const int32_t r_a =
      ft_q_shift(ft_q_mul(ft_q_shift(x, zeros_a - 1), sqrt_half), 1);
  const int32_t r_b = ft_q_shift(x, zeros_b);
  const int32_t k_a = ft_q_add(ft_q_shift(12 - zeros_a, 25), quarter);
  const int32_t k_b = ft_q_sub(ft_q_shift(12 - zeros_b, 25), quarter);
  const int32_t r = r_a < r_b ? r_a : r_b, k = k_a > k_b ? k_a : k_b;
  const int32_t p = ft_q_half_sum(r, fourth_root_half);
  const int32_t half_q = ft_q_sub(r, fourth_root_half);
  const int32_t q = ft_q_add(half_q, half_q), q2 = ft_q_mul(q, q);
  const int32_t numerator =
      ft_q_add(ft_q_mul(q, r), ft_q_mul(ft_q_mul(q, q2), 117049297));
  const int32_t denominator_minus_one = ft_q_add(
      ft_q_mul(p, ft_q_add(ft_q_add(1057819769, q), ft_q_mul(127690142, q2))),
      ft_q_mul(638450708, q));
  const int32_t log_r =
      ft_q_mul(ft_q_shift(numerator, -6),
               ft_q_reciprocal_of_one_plus(denominator_minus_one));
  return ft_q_shift(ft_q_add(ft_q_mul(k, log_2), log_r), 1);
}

#endif /* FT_KERNELS_QUANT_FIXED_POINT_MATH_H_ */
