/* Block floating point: int16 mantissas that share one power-of-two exponent.
 *
 * real = mantissa * 2^exponent * factor, where `exponent` is an int32 in a
 * buffer of its own, known when running, and `factor` is known when compiling
 * (it never reaches a kernel but as a fixed-point multiplier). Everything here
 * is integer arithmetic, exact or rounded half away from zero, so that results
 * do not depend on the order of sums.
 *
 * A tensor's exponent is chosen so that its largest mantissa has 15 bits. The
 * shift that does this is found by computing the sums twice, or is predicted
 * from the step before (a persistent int32) and the sums are computed again
 * only where the prediction would saturate or lose more than FT_BFP_SLACK bits.
 * Not for: values that need no product (int8 activations are as deployed). */
#ifndef FT_KERNELS_BFP_H_
#define FT_KERNELS_BFP_H_

#include "kernels/kernel.h"

enum { FT_BFP_BITS = 15, FT_BFP_SLACK = 3, FT_BFP_HEADROOM = 1 };

/* Fills acc[cols] with the exact sums of one output row, |sum| < 2^62. */
typedef void (*ft_bfp_row_fn)(const void* context, int32_t row, int64_t* acc);

/* Bits of v's binary digits; 0 for 0. */
static inline int32_t ft_bit_length(uint64_t v) {
#if defined(__GNUC__)
  return v == 0 ? 0 : 64 - __builtin_clzll(v);
#else
  int32_t bits = 0;
  if (v >> 32) v >>= 32, bits += 32;
  if (v >> 16) v >>= 16, bits += 16;
  if (v >> 8) v >>= 8, bits += 8;
  if (v >> 4) v >>= 4, bits += 4;
  if (v >> 2) v >>= 2, bits += 2;
  return bits + (int32_t)(v >> 1) + (v != 0);
#endif
}

static inline uint64_t ft_magnitude(int64_t v) {
  return v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;
}

static inline int32_t ft_clamp_exponent(int64_t e) {
  const int32_t limit = 1 << 28;
  return e < -limit ? -limit : (e > limit ? limit : (int32_t)e);
}

/* v / 2^shift, half away from zero; a negative shift multiplies. Saturates at
 * +-2^62, which no caller reaches with sums that it keeps. */
static inline int64_t ft_shift_round(int64_t v, int32_t shift) {
  const uint64_t limit = (uint64_t)1 << 62;
  uint64_t u = ft_magnitude(v);
  if (shift > 0 && shift <= 62 && u <= limit) /* nearly always */
    return (v + ((int64_t)1 << (shift - 1)) - (v < 0)) >> shift;
  if (shift <= 0 && shift > -31 && u < (uint64_t)1 << 31)
    return v * ((int64_t)1 << -shift);
  if (shift > 63) return 0;
  if (shift > 0) u = (u + ((uint64_t)1 << (shift - 1))) >> shift;
  if (shift < 0 && u != 0)
    u = shift < -62 || u > (limit >> -shift) ? limit : u << -shift;
  if (u > limit) u = limit;
  return v < 0 ? -(int64_t)u : (int64_t)u;
}

static inline int16_t ft_saturate_s16(int64_t v) {
  return (int16_t)(v < -32767 ? -32767 : (v > 32767 ? 32767 : v));
}

/* v * multiplier * 2^exponent, saturated at +-2^30. `multiplier` is below 2^31;
 * v is rounded to 31 bits first where it has more. */
static inline int32_t ft_bfp_scale(int64_t v, int32_t multiplier,
                                   int32_t exponent) {
  const int32_t limit = 1 << 30;
  int64_t q;
  if (v > INT32_MAX || v < -INT32_MAX) {
    const int32_t spare = ft_bit_length(ft_magnitude(v)) - 31;
    v = ft_shift_round(v, spare);
    exponent += spare;
  }
  q = ft_shift_round(v * multiplier, -exponent);
  return (int32_t)(q < -limit ? -limit : (q > limit ? limit : q));
}

/* One pass over all rows with a given shift; returns the bits of all sums. */
static inline uint64_t ft_bfp_pass(ft_bfp_row_fn fn, const void* context,
                                   int32_t rows, int32_t cols, int32_t shift,
                                   int64_t* acc, int16_t* out) {
  uint64_t all = 0;
  int32_t r, c;
  for (r = 0; r < rows; ++r) {
    fn(context, r, acc);
    for (c = 0; c < cols; ++c) all |= ft_magnitude(acc[c]);
    if (!out) continue;
    for (c = 0; c < cols; ++c)
      out[c] = ft_saturate_s16(ft_shift_round(acc[c], shift));
    out += cols;
  }
  return all;
}

/* Writes all rows; returns the shift: mantissa = round(sum / 2^shift).
 * `predicted`: NULL, or what the last step foresaw, renewed for the next. */
static inline int32_t ft_bfp_rows(ft_bfp_row_fn fn, const void* context,
                                  int32_t rows, int32_t cols, int64_t* acc,
                                  int32_t* predicted, int16_t* out) {
  uint64_t all;
  int32_t shift, need;
  if (predicted) {
    shift = *predicted;
    if (shift < -64) shift = -64;
    if (shift > 64) shift = 64;
    all = ft_bfp_pass(fn, context, rows, cols, shift, acc, out);
    if (all == 0) return shift;
    need = ft_bit_length(all) - FT_BFP_BITS;
    *predicted = need + FT_BFP_HEADROOM;
    if (shift >= need && shift <= need + FT_BFP_SLACK) return shift;
  } else {
    all = ft_bfp_pass(fn, context, rows, cols, 0, acc, NULL);
    need = all == 0 ? 0 : ft_bit_length(all) - FT_BFP_BITS;
  }
  ft_bfp_pass(fn, context, rows, cols, need, acc, out);
  return need;
}

#endif /* FT_KERNELS_BFP_H_ */
