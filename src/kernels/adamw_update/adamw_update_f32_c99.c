#include "kernels/adamw_update/adamw_element.h"

void FT_NAME(adamw_update)(const void* params, const ft_args* args) {
  const ft_adamw_update_params* p = (const ft_adamw_update_params*)params;
  ft_real* param = (ft_real*)args->in[0];
  const ft_real* grad = (const ft_real*)args->in[1];
  ft_real* m = (ft_real*)args->in[2];
  ft_real* v = (ft_real*)args->in[3];
  const float* hyper = (const float*)args->in[4];
  const int32_t* positions = (const int32_t*)args->in[5];
  const ft_adamw_factors f = ft_adamw_factors_of(p, hyper);
  const ft_part part = ft_part_of(args, positions ? p->kept : p->count);
  int32_t i;
  if (hyper[3] != 0) return;
  if (!positions)
    for (i = part.first; i < part.end; ++i)
      ft_adamw_element(p, &f, grad[i], param + i, m + i, v + i);
  for (i = part.first; positions && i < part.end; ++i) {
    const int32_t at = positions[i];
    if (at < 0 || at >= p->count) continue;
    ft_adamw_element(p, &f, grad[i], param + at, m + at, v + at);
  }
}
