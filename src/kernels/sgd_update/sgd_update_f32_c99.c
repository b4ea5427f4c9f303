#include "kernels/real.h"
#include "kernels/sgd_update/sgd_update.h"

static inline void update(const ft_sgd_update_params* p, ft_real lr, ft_real g,
                          ft_real* param, ft_real* state) {
  g = g + p->weight_decay * *param;
  if (state) {
    *state = p->momentum * *state + g;
    g = p->nesterov ? g + p->momentum * *state : *state;
  }
  *param = *param - lr * g;
}

void FT_NAME(sgd_update)(const void* params, const ft_args* args) {
  const ft_sgd_update_params* p = (const ft_sgd_update_params*)params;
  ft_real* param = (ft_real*)args->in[0];
  const ft_real* grad = (const ft_real*)args->in[1];
  const float* hyper = (const float*)args->in[2];
  const ft_real lr = hyper[0];
  ft_real* state = (ft_real*)args->in[3];
  const int32_t* positions = (const int32_t*)args->in[4];
  int32_t i;
  if (hyper[3] != 0) return;
  if (!positions)
    for (i = 0; i < p->count; ++i)
      update(p, lr, grad[i], param + i, state ? state + i : NULL);
  for (i = 0; positions && i < p->kept; ++i) {
    const int32_t at = positions[i];
    if (at < 0 || at >= p->count) continue;
    update(p, lr, grad[i], param + at, state ? state + at : NULL);
  }
}
