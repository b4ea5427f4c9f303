#include "kernels/adamw_update/adamw_element.h"

void FT_NAME(outer_adamw_update)(const void* params, const ft_args* args) {
  const ft_adamw_update_params* p = (const ft_adamw_update_params*)params;
  ft_real* param = (ft_real*)args->in[0];
  const ft_real* dy = (const ft_real*)args->in[1];
  const ft_real* x = (const ft_real*)args->in[2];
  ft_real* m = (ft_real*)args->in[3];
  ft_real* v = (ft_real*)args->in[4];
  const float* hyper = (const float*)args->in[5];
  const ft_adamw_factors f = ft_adamw_factors_of(p, hyper);
  const int32_t rows = p->kept, cols = p->count / rows;
  int32_t j, i;
  if (hyper[3] != 0) return;
  for (j = 0; j < rows; ++j, param += cols, m += cols, v += cols)
    for (i = 0; i < cols; ++i)
      ft_adamw_element(p, &f, dy[j] * x[i], param + i, m + i, v + i);
}
