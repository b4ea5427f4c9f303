#include "kernels/quant/fixed_point.h"
#include "kernels/quant/low_rank.h"
#include "kernels/residual_add/residual_add.h"

void ft_residual_add_s8f32_c99(const void* params, const ft_args* args) {
  const ft_residual_add_params* p = (const ft_residual_add_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  const float* u = (const float*)args->in[1];
  int8_t* y = (int8_t*)args->out[0];
  int32_t i;
  for (i = 0; i < p->count; ++i)
    y[i] = (int8_t)ft_clamp_i32(x[i] + ft_round_to_acc(u[i] * p->inv_scale),
                                -128, 127);
}
