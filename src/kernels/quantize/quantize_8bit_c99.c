#include "kernels/quant/fixed_point.h"
#include "kernels/quantize/quantize.h"

/* Clamps before the conversion: the reference overflows int32 there for huge
 * values, which C leaves undefined. */
static int32_t quantize_one(float x, const ft_quantize_params* p, int32_t low,
                            int32_t high) {
  const float v = x / p->scale;
  /* From 2^23 on a float is whole, and 2^23 saturates any quantizer. */
  const float limit = 8388608.0f;
  float size, frac;
  int32_t q;
  if (!(v > -limit)) return low;
  if (v >= limit) return high;
  size = v < 0 ? -v : v;
  q = (int32_t)size;
  frac = size - (float)q; /* exact */
  if (frac >= 0.5f) ++q;
  return ft_clamp_i32((v < 0 ? -q : q) + p->zero_point, low, high);
}

void ft_quantize_f32s8_c99(const void* params, const ft_args* args) {
  const ft_quantize_params* p = (const ft_quantize_params*)params;
  const float* x = (const float*)args->in[0];
  int8_t* q = (int8_t*)args->out[0];
  int32_t i;
  for (i = 0; i < p->count; ++i)
    q[i] = (int8_t)quantize_one(x[i], p, -128, 127);
}

void ft_quantize_f32u8_c99(const void* params, const ft_args* args) {
  const ft_quantize_params* p = (const ft_quantize_params*)params;
  const float* x = (const float*)args->in[0];
  uint8_t* q = (uint8_t*)args->out[0];
  int32_t i;
  for (i = 0; i < p->count; ++i) q[i] = (uint8_t)quantize_one(x[i], p, 0, 255);
}

static int32_t requantize_one(int32_t x, const ft_quantize_params* p,
                              int32_t low, int32_t high) {
  const int32_t q =
      ft_requantize(x - p->in_zero_point, p->multiplier, p->shift);
  /* Near INT32_MAX the sum would overflow; those saturate anyway. */
  return ft_clamp_i32(ft_clamp_i32(q, -65536, 65536) + p->zero_point, low,
                      high);
}

void ft_quantize_s8s8_c99(const void* params, const ft_args* args) {
  const ft_quantize_params* p = (const ft_quantize_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* q = (int8_t*)args->out[0];
  int32_t i;
  for (i = 0; i < p->count; ++i)
    q[i] = (int8_t)requantize_one(x[i], p, -128, 127);
}

void ft_quantize_u8s8_c99(const void* params, const ft_args* args) {
  const ft_quantize_params* p = (const ft_quantize_params*)params;
  const uint8_t* x = (const uint8_t*)args->in[0];
  int8_t* q = (int8_t*)args->out[0];
  int32_t i;
  for (i = 0; i < p->count; ++i)
    q[i] = (int8_t)requantize_one(x[i], p, -128, 127);
}

void ft_quantize_s8u8_c99(const void* params, const ft_args* args) {
  const ft_quantize_params* p = (const ft_quantize_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  uint8_t* q = (uint8_t*)args->out[0];
  int32_t i;
  for (i = 0; i < p->count; ++i)
    q[i] = (uint8_t)requantize_one(x[i], p, 0, 255);
}
