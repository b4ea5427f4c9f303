/* The float side of an int8 linear op: an adapter's contribution, rounded to
 * the unit of the int32 accumulator so that the deployed arithmetic follows. */
#ifndef FT_KERNELS_QUANT_LOW_RANK_H_
#define FT_KERNELS_QUANT_LOW_RANK_H_

#include <stdint.h>

/* lora_scaling * sum of h[i] * b[i], summed from i = 0. */
static inline float ft_low_rank_dot(const float* h, const float* b, int32_t r,
                                    float scaling) {
  float sum = 0;
  int32_t i;
  for (i = 0; i < r; ++i) sum += h[i] * b[i];
  return scaling * sum;
}

/* floor(v + 0.5) for |v| < 2^30, saturated beyond; NaN gives -2^30. Needs no
 * libm: truncation, then one down where that went up. */
static inline int32_t ft_round_to_acc(float v) {
  const float limit = 1073741824.0f;
  float t = v + 0.5f;
  int32_t i;
  if (!(t > -limit)) return -1073741824;
  if (t > limit) return 1073741824;
  i = (int32_t)t;
  return i - ((float)i > t ? 1 : 0);
}

/* What gain * (acc + side) differs from acc, in accumulator units: exactly 0
 * for a gain of 1 and no side. */
static inline float ft_gain_difference(float gain, int32_t acc, float side) {
  return (gain - 1) * (float)acc + gain * side;
}

/* Sums of accumulators wrap as two's complement, on every machine. */
static inline int32_t ft_add_wrap(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a + (uint32_t)b);
}

#endif /* FT_KERNELS_QUANT_LOW_RANK_H_ */
