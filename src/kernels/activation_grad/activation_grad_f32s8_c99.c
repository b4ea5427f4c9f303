#include "kernels/activation_grad/activation_grad.h"

void ft_activation_grad_f32s8_c99(const void* params, const ft_args* args) {
  const ft_activation_grad_params* p = (const ft_activation_grad_params*)params;
  const float* dy = (const float*)args->in[0];
  const int8_t* y = (const int8_t*)args->in[1];
  float* dx = (float*)args->out[0];
  const ft_part part = ft_part_of(args, p->count);
  int32_t i;
  for (i = part.first; i < part.end; ++i)
    dx[i] = y[i] > p->q_low && y[i] < p->q_high ? dy[i] : 0.0f;
}
