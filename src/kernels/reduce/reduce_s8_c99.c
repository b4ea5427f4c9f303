#include "kernels/quant/fixed_point_math.h"
#include "kernels/reduce/reduce.h"

static int8_t max_of(const ft_reduce_params* p, const int8_t* from) {
  const int32_t run = p->reduced[3], step = p->reduced_stride[3];
  int8_t max = from[0];
  int32_t j, l;
  for (j = 0; j < p->count; j += run) {
    const int8_t* x = from + ft_reduce_offset(p, j);
    for (l = 0; l < run; ++l) {
      const int8_t v = x[(ptrdiff_t)l * step];
      if (v > max) max = v;
    }
  }
  return max;
}

/* Half away from zero; not-a-number is a very negative one. */
static int32_t rounded(float v) {
  const float limited = v > -1e6f ? (v < 1e6f ? v : 1e6f) : -1e6f;
  const int32_t whole = (int32_t)limited;
  const float rest = limited - (float)whole;
  return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

static int8_t sum_of(const ft_reduce_params* p, const int8_t* from) {
  const int32_t run = p->reduced[3], step = p->reduced_stride[3];
  int32_t sum = 0, j, l;
  for (j = 0; j < p->count; j += run) {
    const int8_t* x = from + ft_reduce_offset(p, j);
    for (l = 0; l < run; ++l) sum += x[(ptrdiff_t)l * step];
  }
  if (p->kind == FT_REDUCE_SUM)
    sum = rounded((float)sum * p->scale + p->bias);
  else
    sum = ft_requantize(sum - p->x_zero_point * p->count, p->multiplier,
                        p->shift);
  return (int8_t)ft_clamp_i32(ft_q_add(sum, p->y_zero_point), -128, 127);
}

void ft_reduce_s8_c99(const void* params, const ft_args* args) {
  const ft_reduce_params* p = (const ft_reduce_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t outputs = ft_reduce_outputs(p);
  int32_t i;
  for (i = 0; i < outputs; ++i) {
    const int8_t* from = x + ft_reduce_base(p, i);
    y[i] = p->kind == FT_REDUCE_MAX ? max_of(p, from) : sum_of(p, from);
  }
}
