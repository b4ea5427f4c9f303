#include "kernels/reduce/reduce.h"

void ft_reduce_max_grad_f32s8_c99(const void* params, const ft_args* args) {
  const ft_reduce_params* p = (const ft_reduce_params*)params;
  const float* dy = (const float*)args->in[0];
  const int8_t* x = (const int8_t*)args->in[1];
  const int8_t* y = (const int8_t*)args->in[2];
  float* dx = (float*)args->out[0];
  const int32_t outputs = ft_reduce_outputs(p);
  int32_t i, j;
  for (i = 0; i < outputs; ++i) {
    const int32_t base = ft_reduce_base(p, i);
    int found = 0;
    for (j = 0; j < p->count; ++j) {
      const int32_t at = base + ft_reduce_offset(p, j);
      const int is_first = !found && x[at] == y[i];
      dx[at] = is_first ? dy[i] : 0.0f;
      found |= is_first;
    }
  }
}
