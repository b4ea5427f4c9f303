/* See bfp/row.h. */
#include "kernels/bfp/requantize.h"
#include "kernels/bfp/row.h"
#include "kernels/bfp/side.h"
#include "kernels/bfp/window.h"
#include "kernels/bfp_side_conv2d/bfp_side_conv2d.h"
#include "kernels/bfp_side_conv2d/side_of.h"

typedef struct {
  const int8_t* w;
  const int32_t *bias, *multiplier, *shift;
  ft_bfp_side side;
  ft_bfp_gain gain;
  int32_t* acc; /* [out_c] */
  int32_t round_once;
} layer;

static layer layer_of(const ft_bfp_side_conv2d_params* all,
                      const ft_args* args) {
  layer l;
  l.w = (const int8_t*)args->in[1];
  l.bias = (const int32_t*)args->in[2];
  l.multiplier = (const int32_t*)args->aux[0];
  l.shift = (const int32_t*)args->aux[1];
  l.side = ft_side_of(&all->conv, args, 2);
  l.gain = ft_bfp_gain_of(args->in[7], args->in[8], all->gain_multiplier,
                          all->gain_exponent);
  l.acc = (int32_t*)args->scratch;
  l.round_once = all->round_once;
  return l;
}

static void add_bias(const layer* l, int32_t count) {
  int32_t co;
  for (co = 0; l->bias && co < count; ++co)
    l->acc[co] = ft_bfp_add_wrap(l->acc[co], l->bias[co]);
}

/* Sums of one pixel become its outputs. */
static void finish_pixel(const ft_conv_params* p, const layer* l, int32_t pixel,
                         int8_t* y) {
  const int bias_inside = !l->gain.mantissas || p->gain_bias;
  int32_t co;
  if (bias_inside) add_bias(l, p->out_c);
  for (co = 0; l->side.rank > 0 && co < p->out_c; ++co)
    l->acc[co] =
        ft_bfp_add_wrap(l->acc[co], ft_bfp_side_at(&l->side, pixel, co));
  for (co = 0; l->gain.mantissas && co < p->out_c; ++co)
    l->acc[co] = ft_bfp_gained(&l->gain, l->acc[co], co);
  if (!bias_inside) add_bias(l, p->out_c);
  if (l->round_once)
    ft_requantize_once_run(p, l->acc, l->multiplier, l->shift, p->out_c, y);
  else
    ft_requantize_run(p, l->acc, l->multiplier, l->shift, p->out_c, y);
}

void FT_BFP_ROW(ft_bfp_side_conv2d)(const void* params, const ft_args* args) {
  const ft_bfp_side_conv2d_params* all =
      (const ft_bfp_side_conv2d_params*)params;
  const ft_conv_params p = all->conv; /* a copy that y cannot alias */
  const layer l = layer_of(all, args);
  const int8_t* x = (const int8_t*)args->in[0];
  int16_t* window = (int16_t*)(l.acc + p.out_c);
  int8_t* y = (int8_t*)args->out[0];
  const ft_part part = ft_part_of(args, ft_num_pixels(&p));
  const int32_t size = ft_window_size(&p);
  const int32_t out_per_group = p.out_c / p.groups;
  ft_cursor at = ft_cursor_at(&p, part.first);
  int32_t pixel, group, co;
  for (pixel = part.first; pixel < part.end; ++pixel, ft_cursor_next(&p, &at)) {
    const ft_window win = ft_cursor_window(&p, &at);
    for (group = 0; group < p.groups; ++group) {
      const int32_t first = group * out_per_group;
      ft_gather_window_s8(&p, &win, x, group, window);
      for (co = first; co < first + out_per_group; ++co)
        l.acc[co] = ft_dot_s16s8(window, l.w + co * size, size);
    }
    finish_pixel(&p, &l, pixel, y + pixel * p.out_c);
  }
}
