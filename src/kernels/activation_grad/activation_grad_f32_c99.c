#include "kernels/activation_grad/activation_grad.h"
#include "kernels/real.h"

void FT_NAME(activation_grad)(const void* params, const ft_args* args) {
  const ft_activation_grad_params* p = (const ft_activation_grad_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  const ft_real* y = (const ft_real*)args->in[1];
  ft_real* dx = (ft_real*)args->out[0];
  const ft_part part = ft_part_of(args, p->count);
  int32_t i;
  for (i = part.first; i < part.end; ++i)
    dx[i] = y[i] > p->low && y[i] < p->high ? dy[i] : 0;
}
