#include "kernels/dequantize/dequantize.h"

void ft_dequantize_s8f32_c99(const void* params, const ft_args* args) {
  const ft_dequantize_params* p = (const ft_dequantize_params*)params;
  const int8_t* q = (const int8_t*)args->in[0];
  const float* scale = (const float*)args->aux[0];
  const int32_t* zero_point = (const int32_t*)args->aux[1];
  float* y = (float*)args->out[0];
  int32_t o, c, i;
  for (o = 0; o < p->outer; ++o)
    for (c = 0; c < p->channels; ++c, q += p->inner, y += p->inner)
      for (i = 0; i < p->inner; ++i)
        y[i] = scale[c] * (float)(q[i] - zero_point[c]);
}

void ft_dequantize_u8f32_c99(const void* params, const ft_args* args) {
  const ft_dequantize_params* p = (const ft_dequantize_params*)params;
  const uint8_t* q = (const uint8_t*)args->in[0];
  const float* scale = (const float*)args->aux[0];
  const int32_t* zero_point = (const int32_t*)args->aux[1];
  float* y = (float*)args->out[0];
  int32_t o, c, i;
  for (o = 0; o < p->outer; ++o)
    for (c = 0; c < p->channels; ++c, q += p->inner, y += p->inner)
      for (i = 0; i < p->inner; ++i)
        y[i] = scale[c] * (float)(q[i] - zero_point[c]);
}
