/* Sums of two tensors of block floating point: what bfp_add computes, and
 * gradients that are added to what others have left. */
#ifndef FT_KERNELS_BFP_ADDITION_H_
#define FT_KERNELS_BFP_ADDITION_H_

#include "kernels/bfp/bfp.h"

/* 20 bits below the result's unit, to which operands are brought. */
enum { FT_BFP_GUARD = 20 };

/* Shifts of the operands to it (down if positive), and b's multiplier. */
typedef struct {
  int32_t a_shift, b_shift, multiplier;
} ft_bfp_addition;

/* A tensor's exponent and the bits of its largest mantissa. */
typedef struct {
  int32_t exponent, bits;
} ft_bfp_extent;

static inline int32_t ft_bfp_bits_of(const int16_t* v, int32_t count) {
  int32_t all = 0, i;
  for (i = 0; i < count; ++i) all |= v[i] < 0 ? -v[i] : v[i];
  return ft_bit_length((uint32_t)all);
}

/* Of a and b, whose unit in a's is multiplier * 2^(shift - 31); returns the
 * exponent of the sum. */
static inline int32_t ft_bfp_addition_of(ft_bfp_extent a, ft_bfp_extent b,
                                         int32_t multiplier, int32_t shift,
                                         ft_bfp_addition* s) {
  const int32_t a_exp = ft_clamp_exponent(a.exponent);
  const int32_t b_exp = ft_clamp_exponent((int64_t)b.exponent + shift - 31);
  const int32_t a_top = a_exp + a.bits, b_top = b_exp + b.bits + 31;
  int32_t top = a.bits == 0 ? b_top : a_top, unit;
  if (b.bits != 0 && b_top > top) top = b_top;
  unit = top + 1 - FT_BFP_BITS; /* one bit for the carry */
  s->a_shift = unit - FT_BFP_GUARD - a_exp;
  s->b_shift = unit - FT_BFP_GUARD - b_exp;
  s->multiplier = multiplier;
  return unit;
}

static inline int16_t ft_bfp_add_any(const ft_bfp_addition* s, int16_t a,
                                     int16_t b) {
  const int64_t va = ft_shift_round(a, s->a_shift);
  const int64_t vb = ft_shift_round((int64_t)b * s->multiplier, s->b_shift);
  return ft_saturate_s16(ft_shift_round(va + vb, FT_BFP_GUARD));
}

/* y = a + b; y may be a. Faster where neither operand is far smaller than the
 * other. */
static inline void ft_bfp_add_run(const ft_bfp_addition* s, const int16_t* a,
                                  const int16_t* b, int32_t count, int16_t* y) {
  const int32_t down = s->b_shift;
  int32_t i;
  if (s->a_shift <= 0 && s->a_shift > -31 && down > 0 && down < 32) {
    const int32_t up = 1 << -s->a_shift;
    const int64_t half = (int64_t)1 << (down - 1);
    for (i = 0; i < count; ++i) {
      const int64_t product = (int64_t)b[i] * s->multiplier;
      const int64_t sum =
          (int64_t)a[i] * up + ((product + half - (product < 0)) >> down);
      y[i] = ft_bfp_round_s64(sum, FT_BFP_GUARD);
    }
  } else {
    for (i = 0; i < count; ++i) y[i] = ft_bfp_add_any(s, a[i], b[i]);
  }
}

/* What sums of a matrix are added to. */
typedef struct {
  const int16_t* a;
  int32_t exponent;          /* of a */
  int32_t multiplier, shift; /* of the sums' unit in a's */
  int16_t* row;              /* of m->cols mantissas */
} ft_bfp_addend;

/* Of m->acc. */
FT_BFP_COPIED uint64_t ft_bfp_largest(const ft_bfp_matrix* m) {
  const int32_t* narrow = (const int32_t*)m->acc;
  const int64_t* wide = (const int64_t*)m->acc;
  uint64_t largest = 0;
  int32_t i;
  for (i = 0; i < m->cols; ++i) {
    const uint64_t v = ft_magnitude(m->fill_s32 ? narrow[i] : wide[i]);
    if (v > largest) largest = v;
  }
  return largest;
}

/* ft_bfp_run() and bfp_add in one, with their bits: out = a + mantissas, where
 * out may be a. All sums are computed twice, first for the largest of them,
 * which alone decides how they are rounded. `exponent`: of the sums. Returns
 * the exponent of the result. One lane. */
FT_BFP_COPIED int32_t ft_bfp_run_onto(const ft_bfp_matrix* m,
                                      int32_t* predicted, int64_t exponent,
                                      const ft_bfp_addend* to, int16_t* out) {
  const int32_t slack = predicted ? FT_BFP_SLACK : 0;
  int32_t shift = predicted ? *predicted : -64, at, unit;
  uint64_t largest = 0;
  int64_t signed_largest;
  int16_t mantissa;
  ft_bfp_extent a, b;
  ft_bfp_addition s;
  for (at = 0; at < m->fills; ++at) {
    if (ft_bfp_sums(m, at) > largest) {
      const uint64_t v = ft_bfp_largest(m);
      if (v > largest) largest = v;
    }
  }
  if (shift < -64) shift = -64;
  if (shift > 64) shift = 64;
  if (largest == 0) {
    shift = predicted ? shift : 0;
  } else {
    const int32_t need = ft_bit_length(largest) - FT_BFP_BITS;
    if (shift < need || shift > need + slack) shift = need;
    if (predicted) *predicted = need + FT_BFP_HEADROOM;
  }
  signed_largest = (int64_t)largest;
  ft_bfp_write(&signed_largest, 1, largest, shift, &mantissa);
  a.exponent = to->exponent;
  a.bits = ft_bfp_bits_of(to->a, m->fills * m->cols);
  b.exponent = ft_clamp_exponent(exponent + shift);
  b.bits = ft_bfp_bits_of(&mantissa, 1);
  unit = ft_bfp_addition_of(a, b, to->multiplier, to->shift, &s);
  for (at = 0; at < m->fills; ++at) {
    const uint64_t bits = ft_bfp_sums(m, at);
    const int32_t first = at * m->cols;
    if (m->fill_s32)
      ft_bfp_write_s32((const int32_t*)m->acc, m->cols, shift, to->row);
    else
      ft_bfp_write((const int64_t*)m->acc, m->cols, bits, shift, to->row);
    ft_bfp_add_run(&s, to->a + first, to->row, m->cols, out + first);
  }
  return unit;
}

#endif /* FT_KERNELS_BFP_ADDITION_H_ */
