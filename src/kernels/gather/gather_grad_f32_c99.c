#include "kernels/gather/gather.h"
#include "kernels/real.h"

void FT_NAME(gather_grad)(const void* params, const ft_args* args) {
  const ft_gather_params* p = (const ft_gather_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  const int32_t* indices = (const int32_t*)args->in[1];
  ft_real* dx = (ft_real*)args->out[0];
  const int32_t block = p->dim * p->inner;
  int32_t o, i, k;
  for (o = 0; o < p->outer; ++o, dx += block) {
    for (k = 0; k < block; ++k) dx[k] = 0;
    for (i = 0; i < p->count; ++i, dy += p->inner) {
      ft_real* to = dx + ft_gather_index(indices[i], p->dim) * p->inner;
      for (k = 0; k < p->inner; ++k) to[k] += dy[k];
    }
  }
}
