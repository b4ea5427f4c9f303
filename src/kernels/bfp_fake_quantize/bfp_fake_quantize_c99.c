#include "kernels/bfp/bfp.h"
#include "kernels/bfp_fake_quantize/bfp_fake_quantize.h"

/* v / 2^shift, halves to even. */
static int32_t round_even(int32_t v, int32_t shift) {
  const int32_t q = v >> shift, rest = v - q * (1 << shift);
  const int32_t half = (1 << shift) >> 1;
  return q + (rest > half || (rest == half && shift > 0 && q % 2 != 0));
}

/* Bits to drop so that a magnitude of `most` becomes qmax or less. */
static int32_t shift_for(int32_t most, int32_t qmax) {
  int32_t shift = ft_bit_length((uint64_t)most) - ft_bit_length((uint64_t)qmax);
  if (shift < 0) shift = 0;
  return round_even(most, shift) > qmax ? shift + 1 : shift;
}

void ft_bfp_fake_quantize_c99(const void* params, const ft_args* args) {
  const ft_fake_quantize_params* p = (const ft_fake_quantize_params*)params;
  const int16_t* x = (const int16_t*)args->in[0];
  int16_t* y = (int16_t*)args->out[0];
  int32_t* shift = (int32_t*)args->scratch; /* first the largest magnitude */
  ft_group_run run = {0, 0, -1};
  int32_t i;
  for (i = 0; i < p->groups; ++i) shift[i] = 0;
  while (ft_next_group_run(p, &run)) {
    for (i = run.begin; i < run.end; ++i) {
      const int32_t v = x[i] < 0 ? -x[i] : x[i];
      if (v > shift[run.group]) shift[run.group] = v;
    }
  }
  for (i = 0; i < p->groups; ++i) shift[i] = shift_for(shift[i], p->qmax);
  run.begin = run.end = 0;
  run.group = -1;
  while (ft_next_group_run(p, &run)) {
    const int32_t s = shift[run.group];
    for (i = run.begin; i < run.end; ++i)
      y[i] = ft_saturate_s16((int64_t)round_even(x[i], s) * (1 << s));
  }
  *(int32_t*)args->out[1] = *(const int32_t*)args->in[1];
}
