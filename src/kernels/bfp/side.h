/* What an adapter adds to an int8 layer's accumulators: a low-rank side h b and
 * a gain, both block floating point, brought to the accumulator's unit. */
#ifndef FT_KERNELS_BFP_SIDE_H_
#define FT_KERNELS_BFP_SIDE_H_

#include "kernels/bfp/bfp.h"

/* Sums of accumulators wrap as two's complement, on every machine. */
static inline int32_t ft_bfp_add_wrap(int32_t a, int32_t b) {
  return (int32_t)((uint32_t)a + (uint32_t)b);
}

typedef struct {
  const int16_t *h, *b; /* [pixels, rank], [out_c, rank] */
  int32_t rank;         /* 0: there is no side */
  int32_t exponent;     /* of a product h b */
  /* [out_c], from the unit of h b to the accumulator's */
  const int32_t *multiplier, *unit;
} ft_bfp_side;

static inline ft_bfp_side ft_bfp_no_side(void) {
  const ft_bfp_side s = {NULL, NULL, 0, 0, NULL, NULL};
  return s;
}

static inline int32_t ft_bfp_side_at(const ft_bfp_side* s, int32_t pixel,
                                     int32_t co) {
  const int16_t *h = s->h + pixel * s->rank, *b = s->b + co * s->rank;
  int64_t sum = 0;
  int32_t i = 0;
#ifdef FT_BFP_ARMDSP
  i = ft_dsp_dot_s16(h, b, s->rank, &sum);
#endif
  for (; i + 4 <= s->rank; i += 4)
    sum += (int64_t)(h[i] * b[i]) + h[i + 1] * b[i + 1] +
           (int64_t)(h[i + 2] * b[i + 2]) + h[i + 3] * b[i + 3];
  for (; i < s->rank; ++i) sum += h[i] * b[i];
  return ft_bfp_scale(sum, s->multiplier[co], s->exponent + s->unit[co]);
}

/* gain = mantissa * multiplier * 2^exponent; mantissas NULL: a gain of 1. */
typedef struct {
  const int16_t* mantissas; /* [out_c] */
  int32_t multiplier, exponent;
} ft_bfp_gain;

static inline ft_bfp_gain ft_bfp_gain_of(const void* mantissas,
                                         const void* own_exponent,
                                         int32_t multiplier, int32_t exponent) {
  ft_bfp_gain g;
  g.mantissas = (const int16_t*)mantissas;
  g.multiplier = multiplier;
  g.exponent = exponent;
  if (mantissas)
    g.exponent =
        ft_clamp_exponent((int64_t)exponent + *(const int32_t*)own_exponent);
  return g;
}

/* gain * acc, rounded; acc itself, exactly, for a gain of 1. */
static inline int32_t ft_bfp_gained(const ft_bfp_gain* g, int32_t acc,
                                    int32_t co) {
  if (!g->mantissas) return acc;
  return ft_bfp_scale((int64_t)acc * g->mantissas[co], g->multiplier,
                      g->exponent);
}

#endif /* FT_KERNELS_BFP_SIDE_H_ */
