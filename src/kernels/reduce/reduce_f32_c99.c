#include "kernels/real.h"
#include "kernels/reduce/reduce.h"

static ft_real sum_of(const ft_reduce_params* p, const ft_real* from) {
  const int32_t run = p->reduced[3], step = p->reduced_stride[3];
  ft_real sum = 0;
  int32_t j, l;
  for (j = 0; j < p->count; j += run) {
    const ft_real* x = from + ft_reduce_offset(p, j);
    for (l = 0; l < run; ++l) sum += x[(ptrdiff_t)l * step];
  }
  return sum;
}

static ft_real max_of(const ft_reduce_params* p, const ft_real* from) {
  const int32_t run = p->reduced[3], step = p->reduced_stride[3];
  ft_real max = from[0];
  int32_t j, l;
  for (j = 0; j < p->count; j += run) {
    const ft_real* x = from + ft_reduce_offset(p, j);
    for (l = 0; l < run; ++l) {
      const ft_real v = x[(ptrdiff_t)l * step];
      if (v > max) max = v;
    }
  }
  return max;
}

void FT_NAME(reduce)(const void* params, const ft_args* args) {
  const ft_reduce_params* p = (const ft_reduce_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  ft_real* y = (ft_real*)args->out[0];
  const int32_t outputs = ft_reduce_outputs(p);
  int32_t i;
  if (p->count == 1 && p->kept_stride[3] == 1 && p->kept[3] == outputs &&
      p->kind != FT_REDUCE_MAX) { /* a batch of one */
    for (i = 0; i < outputs; ++i) y[i] = 0 + x[i];
    return;
  }
  for (i = 0; i < outputs; ++i) {
    const ft_real* from = x + ft_reduce_base(p, i);
    y[i] = p->kind == FT_REDUCE_MAX ? max_of(p, from) : sum_of(p, from);
    if (p->kind == FT_REDUCE_MEAN) y[i] /= (ft_real)p->count;
  }
}

void FT_NAME(reduce_max_grad)(const void* params, const ft_args* args) {
  const ft_reduce_params* p = (const ft_reduce_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  const ft_real* x = (const ft_real*)args->in[1];
  const ft_real* y = (const ft_real*)args->in[2];
  ft_real* dx = (ft_real*)args->out[0];
  const int32_t outputs = ft_reduce_outputs(p);
  int32_t i, j;
  for (i = 0; i < outputs; ++i) {
    const int32_t base = ft_reduce_base(p, i);
    int found = 0;
    for (j = 0; j < p->count; ++j) {
      const int32_t at = base + ft_reduce_offset(p, j);
      const int is_first = !found && x[at] == y[i];
      dx[at] = is_first ? dy[i] : 0;
      found |= is_first;
    }
  }
}
