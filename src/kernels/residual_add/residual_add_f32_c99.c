#include "kernels/real.h"
#include "kernels/residual_add/residual_add.h"

void FT_NAME(residual_add)(const void* params, const ft_args* args) {
  const ft_residual_add_params* p = (const ft_residual_add_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  const ft_real* u = (const ft_real*)args->in[1];
  ft_real* y = (ft_real*)args->out[0];
  int32_t i;
  for (i = 0; i < p->count; ++i) y[i] = x[i] + u[i];
}
