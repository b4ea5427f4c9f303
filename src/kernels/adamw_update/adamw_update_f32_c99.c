#include "kernels/adamw_update/adamw_update.h"
#include "kernels/real.h"

void FT_NAME(adamw_update)(const void* params, const ft_args* args) {
  const ft_adamw_update_params* p = (const ft_adamw_update_params*)params;
  ft_real* param = (ft_real*)args->in[0];
  const ft_real* grad = (const ft_real*)args->in[1];
  ft_real* m = (ft_real*)args->in[2];
  ft_real* v = (ft_real*)args->in[3];
  const float* hyper = (const float*)args->in[4];
  const ft_real lr = hyper[0], c2 = hyper[2];
  const ft_real keep = 1 - lr * p->weight_decay;
  const ft_real step = lr * hyper[1];
  int32_t i;
  if (hyper[3] != 0) return;
  for (i = 0; i < p->count; ++i) {
    const ft_real g = grad[i];
    m[i] = m[i] + p->one_minus_beta1 * (g - m[i]);
    v[i] = p->beta2 * v[i] + p->one_minus_beta2 * (g * g);
    param[i] = param[i] * keep - step * (m[i] / (FT_SQRT(v[i] * c2) + p->eps));
  }
}
