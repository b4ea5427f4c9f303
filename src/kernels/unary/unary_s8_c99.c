#include "kernels/unary/unary.h"

void ft_unary_s8_c99(const void* params, const ft_args* args) {
  const ft_unary_params* p = (const ft_unary_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  const int8_t* table = (const int8_t*)args->aux[0];
  int8_t* y = (int8_t*)args->out[0];
  int32_t i;
  for (i = 0; i < p->count; ++i) y[i] = table[x[i] + 128];
}
