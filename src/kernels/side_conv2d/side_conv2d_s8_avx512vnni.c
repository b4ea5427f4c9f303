/* int8 convolution or fully connected layer with a side in integers: A's
 * products with the windows where they lie, then W's, to whose sums those with
 * B are added in registers. */
#include "kernels/conv2d/strip_avx512.h"
#include "kernels/side_conv2d/side_conv2d.h"

/* Images of one pixel, a fully connected layer's rows, are one image. */
static ft_conv_params strips_of(const ft_conv_params* given) {
  ft_conv_params p = *given;
  if (p.in_h != 1 || p.in_w != 1 || p.k_h != 1 || p.k_w != 1 || p.out_h != 1 ||
      p.out_w != 1)
    return p;
  p.in_h = p.out_h = p.batch;
  p.stride_h = p.batch = 1;
  return p;
}

int ft_side_conv2d_s8_avx512vnni_available(void) { return ft_has_avx512vnni(); }

int ft_side_conv2d_s8_avx512vnni_accepts(const ft_side_conv2d_params* side) {
  return ft_strip_fits(&side->conv);
}

size_t ft_side_conv2d_s8_avx512vnni_packed_bytes(
    const ft_side_conv2d_params* side) {
  const ft_conv_params* p = &side->conv;
  return ft_s8_packed_bytes(p->out_c, ft_strip_runs(p), ft_strip_run_bytes(p));
}

size_t ft_side_conv2d_s8_avx512vnni_channels_bytes(
    const ft_side_conv2d_params* side) {
  return (size_t)(ft_s8_padded(side->conv.out_c) / FT_S8_PANEL) *
         sizeof(ft_s8_channels);
}

size_t ft_side_conv2d_s8_avx512vnni_scratch_bytes(
    const ft_side_conv2d_params* side) {
  const ft_conv_params p = strips_of(&side->conv);
  const ft_conv_strip s = ft_strip_of(&p);
  return ft_strip_bytes(&s) + ft_s8_side_bytes(p.rank, p.out_c,
                                               ft_strip_runs(&p),
                                               ft_strip_run_bytes(&p));
}

void ft_side_conv2d_s8_avx512vnni_pack(const ft_side_conv2d_params* side,
                                       const int8_t* w, const int32_t* bias,
                                       const int32_t* multiplier,
                                       const int32_t* shift, void* packed,
                                       void* channels) {
  const ft_conv_params* p = &side->conv;
  const ft_s8_result result = {p->y_zero_point, p->q_low, p->q_high,
                               side->round_once, 1 << (31 - FT_SIDE_BITS)};
  ft_s8_pack_weights(w, p->out_c, ft_strip_runs(p), ft_strip_run_bytes(p), bias,
                     p->x_zero_point, multiplier, shift, &result,
                     (int8_t*)packed, (ft_s8_channels*)channels);
}

/* The adapter's values in scratch behind the strip. */
static void set_side(const ft_conv_params* p, const ft_conv_strip* strip,
                     const ft_args* args, ft_s8_side* s, ft_s8_gemm* g) {
  const int32_t runs = ft_strip_runs(p), run = ft_strip_run_bytes(p);
  const int32_t lanes = ft_s8_side_lanes(p->rank);
  const int32_t wide = lanes < 8 ? 8 : lanes;
  int8_t* to = (int8_t*)args->scratch + ft_strip_bytes(strip);
  const int is_one = p->out_h == 1 && p->out_w == 1 && p->batch == 1;
  int32_t* b;
  s->rank = p->rank;
  s->lanes = lanes;
  s->a = (const int8_t*)args->in[3];
  s->row = ft_side_row(p);
  s->unsigned_zero = p->x_zero_point + 128;
  s->packed = to;
  to += (ptrdiff_t)wide * runs * ((run + 3) / 4 * 4);
  s->start = (int32_t*)to;
  s->factor = s->start + wide;
  b = s->factor + wide;
  s->h = (int16_t*)(b + ft_s8_padded(p->out_c) * (p->rank / 2));
  memset(s->factor, 0, (size_t)wide * sizeof(int32_t));
  memcpy(s->factor, args->in[4], (size_t)p->rank * sizeof(int32_t));
  ft_s8_set_side_start(s, runs * run);
  if (!is_one || runs > 1) ft_s8_pack_side_a(s, runs, run);
  ft_s8_pack_side_b((const int16_t*)args->in[5], p->out_c, p->rank / 2, b);
  g->pairs = p->rank / 2;
  g->h_row = lanes;
  g->side_h = s->h;
  g->side_b = b;
}

void ft_side_conv2d_s8_avx512vnni(const void* params, const ft_args* args) {
  const ft_side_conv2d_params* layer = (const ft_side_conv2d_params*)params;
  const ft_conv_params p = strips_of(&layer->conv);
  const ft_conv_strip strip = ft_strip_of(&p);
  ft_s8_side side;
  ft_s8_gemm g;
  ft_strip_product(&p, &strip, &g);
  g.w = (const int8_t*)args->aux[2];
  g.channels = (const ft_s8_channels*)args->aux[3];
  g.rounds_once = layer->round_once;
  g.rank = 0;
  g.gain = NULL;
  set_side(&p, &strip, args, &side, &g);
  ft_run_strips(&p, &strip, args, &g, &side);
}
