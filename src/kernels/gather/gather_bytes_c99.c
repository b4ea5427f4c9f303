#include <string.h>

#include "kernels/gather/gather.h"

void ft_gather_bytes_c99(const void* params, const ft_args* args) {
  const ft_gather_params* p = (const ft_gather_params*)params;
  const char* x = (const char*)args->in[0];
  const int32_t* indices = (const int32_t*)args->in[1];
  char* y = (char*)args->out[0];
  const size_t bytes = (size_t)p->inner * (size_t)p->elem_bytes;
  int32_t o, i;
  for (o = 0; o < p->outer; ++o, x += (size_t)p->dim * bytes)
    for (i = 0; i < p->count; ++i, y += bytes)
      memcpy(y, x + (size_t)ft_gather_index(indices[i], p->dim) * bytes, bytes);
}
