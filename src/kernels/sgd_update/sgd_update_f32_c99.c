#include "kernels/real.h"
#include "kernels/sgd_update/sgd_update.h"

void FT_NAME(sgd_update)(const void* params, const ft_args* args) {
  const ft_sgd_update_params* p = (const ft_sgd_update_params*)params;
  ft_real* param = (ft_real*)args->in[0];
  const ft_real* grad = (const ft_real*)args->in[1];
  const float* hyper = (const float*)args->in[2];
  const ft_real lr = hyper[0];
  ft_real* state = (ft_real*)args->in[3];
  int32_t i;
  if (hyper[3] != 0) return;
  for (i = 0; i < p->count; ++i) {
    ft_real g = grad[i] + p->weight_decay * param[i];
    if (state) {
      state[i] = p->momentum * state[i] + g;
      g = p->nesterov ? g + p->momentum * state[i] : state[i];
    }
    param[i] = param[i] - lr * g;
  }
}
