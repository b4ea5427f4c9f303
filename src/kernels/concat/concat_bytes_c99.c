#include <string.h>

#include "kernels/concat/concat.h"

void ft_concat_bytes_c99(const void* params, const ft_args* args) {
  const ft_concat_params* p = (const ft_concat_params*)params;
  const int32_t* run = (const int32_t*)args->aux[0];
  char* out = (char*)args->out[0];
  int32_t o, i;
  for (o = 0; o < p->outer; ++o) {
    for (i = 0; i < p->parts; ++i) {
      const size_t bytes = (size_t)run[i] * (size_t)p->elem_bytes;
      memcpy(out, (const char*)args->in[i] + (size_t)o * bytes, bytes);
      out += bytes;
    }
  }
}

void ft_split_bytes_c99(const void* params, const ft_args* args) {
  const ft_concat_params* p = (const ft_concat_params*)params;
  const int32_t* run = (const int32_t*)args->aux[0];
  const char* in = (const char*)args->in[0];
  int32_t o, i;
  for (o = 0; o < p->outer; ++o) {
    for (i = 0; i < p->parts; ++i) {
      const size_t bytes = (size_t)run[i] * (size_t)p->elem_bytes;
      memcpy((char*)args->out[i] + (size_t)o * bytes, in, bytes);
      in += bytes;
    }
  }
}
