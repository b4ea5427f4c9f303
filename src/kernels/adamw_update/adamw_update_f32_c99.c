#include "kernels/adamw_update/adamw_update.h"
#include "kernels/real.h"

typedef struct {
  ft_real keep, step, c2; /* 1 - lr * weight decay, lr * c1 */
} factors;

static inline void update(const ft_adamw_update_params* p, factors f, ft_real g,
                          ft_real* param, ft_real* m, ft_real* v) {
  *m = *m + p->one_minus_beta1 * (g - *m);
  *v = p->beta2 * *v + p->one_minus_beta2 * (g * g);
  *param = *param * f.keep - f.step * (*m / (FT_SQRT(*v * f.c2) + p->eps));
}

void FT_NAME(adamw_update)(const void* params, const ft_args* args) {
  const ft_adamw_update_params* p = (const ft_adamw_update_params*)params;
  ft_real* param = (ft_real*)args->in[0];
  const ft_real* grad = (const ft_real*)args->in[1];
  ft_real* m = (ft_real*)args->in[2];
  ft_real* v = (ft_real*)args->in[3];
  const float* hyper = (const float*)args->in[4];
  const int32_t* positions = (const int32_t*)args->in[5];
  const ft_real lr = hyper[0];
  const factors f = {1 - lr * p->weight_decay, lr * hyper[1], hyper[2]};
  int32_t i;
  if (hyper[3] != 0) return;
  if (!positions)
    for (i = 0; i < p->count; ++i)
      update(p, f, grad[i], param + i, m + i, v + i);
  for (i = 0; positions && i < p->kept; ++i) {
    const int32_t at = positions[i];
    if (at < 0 || at >= p->count) continue;
    update(p, f, grad[i], param + at, m + at, v + at);
  }
}
