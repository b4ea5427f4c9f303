/* Two output pixels at a time against packed pairs of output channels
 * (quant/s8_armdsp.h); one group, no gain.
 *
 * aux: packed weights, int32 [out_c] that a sum begins with (bias - zero point
 * of x * sum of w), and those of the C99 row. scratch: int32 [2, out_c], out_c
 * rounded up to an even number; the windows of two pixels, widened; one as
 * bytes. */
#define FT_BFP_ARMDSP
#include "kernels/bfp/armdsp.h"
#include "kernels/bfp/requantize.h"
#include "kernels/bfp_side_conv2d/bfp_side_conv2d.h"
#include "kernels/bfp_side_conv2d/side_of.h"
#include "kernels/conv2d/dsp_window.h"

typedef struct {
  const ft_bfp_side_conv2d_params* all;
  const int32_t *w, *init, *multiplier, *shift;
  ft_bfp_side side;
} layer;

/* Sums of two pixels. */
static void add_products(const layer* l, const int32_t* wide, int32_t k4,
                         int32_t* acc0, int32_t* acc1) {
  const int32_t out_c = l->all->conv.out_c;
  const int32_t* w = l->w;
  int32_t co;
  for (co = 0; co < out_c; co += 2) {
    ft_dsp_sums s0 = {0, 0}, s1 = {0, 0};
    w = ft_dsp_dot_all_2x2(w, wide, k4, &s0, &s1);
    acc0[co] = s0.s0;
    acc0[co + 1] = s0.s1;
    acc1[co] = s1.s0;
    acc1[co + 1] = s1.s1;
  }
}

static void finish_pixel(const layer* l, int32_t pixel, int32_t* acc,
                         int8_t* y) {
  const ft_conv_params* p = &l->all->conv;
  int32_t co;
  for (co = 0; co < p->out_c; ++co)
    acc[co] = ft_bfp_add_wrap(acc[co], l->init[co]);
  for (co = 0; l->side.rank > 0 && co < p->out_c; ++co)
    acc[co] = ft_bfp_add_wrap(acc[co], ft_bfp_side_at(&l->side, pixel, co));
  if (l->all->round_once)
    ft_requantize_once_run(p, acc, l->multiplier, l->shift, p->out_c, y);
  else
    ft_requantize_run(p, acc, l->multiplier, l->shift, p->out_c, y);
}

void ft_bfp_side_conv2d_armdsp(const void* params, const ft_args* args) {
  const ft_bfp_side_conv2d_params* all =
      (const ft_bfp_side_conv2d_params*)params;
  const ft_conv_params* p = &all->conv;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  const int32_t k = p->k_h * p->k_w * p->in_c;
  const int32_t k4 = (k + 3) / 4 * 4, out_even = p->out_c + p->out_c % 2;
  int32_t* acc = (int32_t*)args->scratch;
  int32_t* wide = acc + 2 * out_even; /* k4 words: 2 pixels, 2 bytes each */
  int8_t* bytes = (int8_t*)(wide + k4);
  ft_cursor at = ft_cursor_at(p, part.first);
  int32_t pixel, i;
  layer l;
  l.all = all;
  l.w = (const int32_t*)args->aux[0];
  l.init = (const int32_t*)args->aux[1];
  l.multiplier = (const int32_t*)args->aux[2];
  l.shift = (const int32_t*)args->aux[3];
  l.side = ft_side_of(p, args, 4);
  y += part.first * p->out_c;
  if (k % 4) memset(bytes + k / 4 * 4, 0, 4); /* weights are 0 there */
  for (pixel = part.first; pixel < part.end; pixel += 2) {
    const int32_t count = pixel + 1 == part.end ? 1 : 2;
    for (i = 0; i < count; ++i, ft_cursor_next(p, &at))
      ft_dsp_window(p, x, &at, k, bytes, wide + i);
    add_products(&l, wide, k4, acc, acc + out_even);
    for (i = 0; i < count; ++i, y += p->out_c)
      finish_pixel(&l, pixel + i, acc + i * out_even, y);
  }
}
