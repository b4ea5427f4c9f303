#include "kernels/bfp/bfp.h"
#include "kernels/bfp_accumulate_grad/bfp_accumulate_grad.h"

enum { SUM_BITS = 30 };

typedef struct {
  int32_t *acc, *acc_exp;
  const int16_t* grad;
  int32_t grad_exp, count;
} sums;

/* Element i in units of 2^e. */
static int64_t sum_at(const sums* s, int32_t i, int32_t e) {
  return ft_shift_round(s->acc[i],
                        ft_clamp_exponent((int64_t)e - *s->acc_exp)) +
         ft_shift_round(s->grad[i],
                        ft_clamp_exponent((int64_t)e - s->grad_exp));
}

/* The finest unit in which neither part has more than 30 bits. */
static int32_t unit_of(const sums* s) {
  const int32_t below = ft_clamp_exponent((int64_t)s->grad_exp - FT_BFP_BITS);
  uint64_t acc = 0, grad = 0;
  int32_t i;
  for (i = 0; i < s->count; ++i) {
    acc |= ft_magnitude(s->acc[i]);
    grad |= ft_magnitude(s->grad[i]);
  }
  if (acc == 0) return below;
  if (grad == 0) return *s->acc_exp; /* whose exponent says nothing */
  return below > *s->acc_exp ? below : *s->acc_exp;
}

static void add(const sums* s) {
  const int32_t e = unit_of(s);
  uint64_t all = 0;
  int32_t i, spare;
  for (i = 0; i < s->count; ++i) all |= ft_magnitude(sum_at(s, i, e));
  spare = ft_bit_length(all) - SUM_BITS;
  if (spare < 0) spare = 0;
  for (i = 0; i < s->count; ++i)
    s->acc[i] = (int32_t)ft_shift_round(sum_at(s, i, e), spare);
  *s->acc_exp = ft_clamp_exponent((int64_t)e + spare);
}

void ft_bfp_accumulate_grad_c99(const void* params, const ft_args* args) {
  const ft_bfp_accumulate_grad_params* p =
      (const ft_bfp_accumulate_grad_params*)params;
  const int hold = ((const int32_t*)args->in[4])[10] != 0;
  int16_t* total = (int16_t*)args->out[0];
  uint64_t all = 0;
  int32_t i, shift;
  sums s;
  s.acc = (int32_t*)args->in[0];
  s.acc_exp = (int32_t*)args->in[1];
  s.grad = (const int16_t*)args->in[2];
  s.grad_exp = ft_clamp_exponent(*(const int32_t*)args->in[3]);
  s.count = p->count;
  *s.acc_exp = ft_clamp_exponent(*s.acc_exp);
  add(&s);
  for (i = 0; i < p->count && !hold; ++i) all |= ft_magnitude(s.acc[i]);
  shift = all == 0 ? 0 : ft_bit_length(all) - FT_BFP_BITS;
  for (i = 0; i < p->count; ++i)
    total[i] = hold ? 0 : ft_saturate_s16(ft_shift_round(s.acc[i], shift));
  *(int32_t*)args->out[1] =
      ft_clamp_exponent((int64_t)*s.acc_exp + shift + p->exponent);
  for (i = 0; i < p->count && !hold; ++i) s.acc[i] = 0;
}
