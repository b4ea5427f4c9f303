#include "kernels/accumulate_grad/accumulate_grad.h"
#include "kernels/real.h"

void FT_NAME(accumulate_grad)(const void* params, const ft_args* args) {
  const ft_accumulate_grad_params* p = (const ft_accumulate_grad_params*)params;
  ft_real* acc = (ft_real*)args->in[0];
  const ft_real* grad = (const ft_real*)args->in[1];
  const int only_add = ((const float*)args->in[2])[3] != 0;
  ft_real* total = (ft_real*)args->out[0];
  int32_t i;
  for (i = 0; i < p->count; ++i) {
    const ft_real sum = acc[i] + grad[i];
    acc[i] = only_add ? sum : 0;
    total[i] = only_add ? sum : sum * p->scale;
  }
}
