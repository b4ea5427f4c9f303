/* int8 convolution of one group: image rows, padded and as unsigned bytes, in
 * place times packed weights. */
#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/strip_avx512.h"

int ft_conv2d_s8_avx512vnni_available(void) { return ft_has_avx512vnni(); }

int ft_conv2d_s8_avx512vnni_accepts(const ft_conv_params* p) {
  return ft_strip_fits(p);
}

int32_t ft_conv2d_s8_avx512vnni_strip_rows(const ft_conv_params* p) {
  return ft_strip_of(p).out_rows;
}

size_t ft_conv2d_s8_avx512vnni_packed_bytes(const ft_conv_params* p) {
  return ft_s8_packed_bytes(p->out_c, ft_strip_runs(p), ft_strip_run_bytes(p));
}

size_t ft_conv2d_s8_avx512vnni_channels_bytes(const ft_conv_params* p) {
  return (size_t)(ft_s8_padded(p->out_c) / FT_S8_PANEL) *
         sizeof(ft_s8_channels);
}

size_t ft_conv2d_s8_avx512vnni_scratch_bytes(const ft_conv_params* p) {
  const ft_conv_strip s = ft_strip_of(p);
  return ft_strip_bytes(&s) +
         sizeof(float) * (size_t)ft_s8_padded(p->out_c) * (size_t)p->rank;
}

void ft_conv2d_s8_avx512vnni_pack(const ft_conv_params* p, const int8_t* w,
                                  const int32_t* bias,
                                  const int32_t* multiplier,
                                  const int32_t* shift, void* packed,
                                  void* channels) {
  const ft_s8_result result = {p->y_zero_point, p->q_low, p->q_high, 0,
                               FT_SIDE_LIMIT(p->rank)};
  ft_s8_pack_weights(w, p->out_c, ft_strip_runs(p), ft_strip_run_bytes(p), bias,
                     p->x_zero_point, multiplier, shift, &result,
                     (int8_t*)packed, (ft_s8_channels*)channels);
}

static void set_product(const ft_conv_params* p, const ft_args* args,
                        const ft_conv_strip* s, ft_s8_gemm* g) {
  float* lora_b = (float*)((uint8_t*)args->scratch + ft_strip_bytes(s));
  if (p->rank > 0) ft_transpose_words(args->in[4], p->out_c, p->rank, lora_b);
  ft_strip_product(p, s, g);
  g->x = (const uint8_t*)args->scratch;
  g->w = (const int8_t*)args->aux[3];
  g->rounds_once = 0;
  g->pairs = 0;
  g->added = NULL;
  g->channels = (const ft_s8_channels*)args->aux[4];
  g->rank = p->rank;
  g->h = p->rank > 0 ? (const float*)args->in[3] : NULL;
  g->lora_b = lora_b;
  g->inv_acc_scale = (const float*)args->aux[2];
  g->lora_scaling = p->lora_scaling;
  g->gain = (const float*)args->in[5];
  g->bias_outside = p->gain_bias ? NULL : (const int32_t*)args->in[2];
}

void ft_conv2d_s8_avx512vnni(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const ft_conv_strip s = ft_strip_of(p);
  ft_s8_gemm g;
  set_product(p, args, &s, &g);
  ft_run_strips(p, &s, args, &g, NULL);
}
