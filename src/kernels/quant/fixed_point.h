/* Q31 requantization of the TensorFlow Lite quantization specification.
 *
 * q = round(acc * multiplier * 2^(shift - 31)); `multiplier` lies in
 * [2^30, 2^31) or is 0, `shift` positive means left. The rounding is that of
 * TFLite's reference kernels (double rounding: saturating rounding doubling
 * high multiply, then rounding shift right half away from zero). */
#ifndef FT_KERNELS_QUANT_FIXED_POINT_H_
#define FT_KERNELS_QUANT_FIXED_POINT_H_

#include <stdint.h>

/* round(a * b / 2^31), halves up, saturated: what the reference's division of a
 * nudged product amounts to. */
static inline int32_t ft_rounding_doubling_high_mul(int32_t a, int32_t b) {
  if (a == b && a == INT32_MIN) return INT32_MAX;
  return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* round(x / 2^exponent), half away from zero; 0 <= exponent <= 31. */
static inline int32_t ft_rounding_shift_right(int32_t x, int exponent) {
  const int32_t mask = (int32_t)(((int64_t)1 << exponent) - 1);
  const int32_t remainder = x & mask;
  const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

static inline int32_t ft_requantize(int32_t acc, int32_t multiplier,
                                    int32_t shift) {
  const int left = shift > 0 ? shift : 0;
  const int right = shift > 0 ? 0 : -shift;
  /* Unsigned: a shift past the sign bit wraps, as the reference does. */
  const int32_t scaled = (int32_t)((uint32_t)acc << left);
  return ft_rounding_shift_right(
      ft_rounding_doubling_high_mul(scaled, multiplier), right);
}

/* The same with one rounding at the end, half away from zero, as LiteRT's fully
 * connected kernels have it (found by comparison: ad01_int8 differs otherwise).
 * They multiply in double; a Q31 multiplier differs from that only on products
 * within 2^-31 of a tie. The result saturates int8 by far before it can leave
 * int32. */
static inline int32_t ft_requantize_once(int32_t acc, int32_t multiplier,
                                         int32_t shift) {
  const int total = 31 - shift; /* 1 .. 62 */
  const int64_t product = (int64_t)acc * multiplier;
  const int64_t half = ((int64_t)1 << (total - 1)) - (product < 0);
  const int64_t q = (product + half) >> total;
  return (int32_t)(q < -(1 << 30) ? -(1 << 30) : (q > 1 << 30 ? 1 << 30 : q));
}

static inline int32_t ft_clamp_i32(int32_t v, int32_t lo, int32_t hi) {
  return v < lo ? lo : (v > hi ? hi : v);
}

#endif /* FT_KERNELS_QUANT_FIXED_POINT_H_ */
