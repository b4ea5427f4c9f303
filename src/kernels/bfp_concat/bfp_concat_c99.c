#include "kernels/bfp/bfp.h"
#include "kernels/bfp_concat/bfp_concat.h"

typedef struct {
  const int16_t* m;
  int32_t run, multiplier, exponent;
} part;

static part part_at(const ft_args* args, int32_t i) {
  part x;
  x.m = (const int16_t*)args->in[2 * i];
  x.run = ((const int32_t*)args->aux[0])[i];
  x.multiplier = ((const int32_t*)args->aux[1])[i];
  x.exponent =
      ft_clamp_exponent((int64_t) * (const int32_t*)args->in[2 * i + 1] +
                        ((const int32_t*)args->aux[2])[i]);
  return x;
}

/* The exponent above all of a part's numbers. */
static int32_t top_of(const part* x, int32_t outer, int32_t none) {
  uint64_t all = 0;
  int32_t i;
  for (i = 0; i < outer * x->run; ++i) all |= ft_magnitude(x->m[i]);
  if (all == 0) return none;
  return x->exponent + ft_bit_length(all * (uint64_t)x->multiplier);
}

void ft_bfp_concat_c99(const void* params, const ft_args* args) {
  const ft_bfp_concat_params* p = (const ft_bfp_concat_params*)params;
  const int32_t none = INT32_MIN;
  int16_t* y = (int16_t*)args->out[0];
  int32_t top = none, unit, i, o, k;
  for (i = 0; i < p->parts; ++i) {
    const part x = part_at(args, i);
    const int32_t own = top_of(&x, p->outer, none);
    if (own > top) top = own;
  }
  unit = top == none ? 0 : top - FT_BFP_BITS;
  for (o = 0; o < p->outer; ++o) {
    for (i = 0; i < p->parts; ++i) {
      const part x = part_at(args, i);
      const int16_t* m = x.m + o * x.run;
      for (k = 0; k < x.run; ++k)
        *y++ = ft_saturate_s16(
            ft_shift_round((int64_t)m[k] * x.multiplier, unit - x.exponent));
    }
  }
  *(int32_t*)args->out[1] = unit;
}
