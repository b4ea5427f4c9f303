/* See bfp/row.h. */
#include "kernels/bfp/requantize.h"
#include "kernels/bfp/row.h"
#include "kernels/bfp/side.h"
#include "kernels/bfp_side_depthwise_conv2d/bfp_side_depthwise_conv2d.h"
#include "kernels/bfp_side_depthwise_conv2d/finish_sum.h"

/* Channels that are summed at a time, on the stack; kernel elements whose
 * products with w_delta fit 32 bits. */
enum { BLOCK = 32, TAPS = 256 };

typedef struct {
  int32_t acc[BLOCK], part[BLOCK];
  int64_t side[BLOCK]; /* sums of (x - zero point) * w_delta */
} block_sums;

static void add_products(const int16_t* x, const int16_t* w, int32_t count,
                         int32_t* sum) {
  int32_t i;
  for (i = 0; i < count; ++i) sum[i] += x[i] * w[i];
}

/* Adds one kernel element for channels first .. first + count. */
static void add_tap(const ft_conv_params* p, const int8_t* x, const int8_t* w,
                    const int16_t* delta, int32_t first, int32_t count,
                    block_sums* s) {
  const int32_t multiplier = p->out_c / p->in_c;
  const int16_t zero = (int16_t)p->x_zero_point;
  int16_t from[BLOCK], weight[BLOCK];
  int32_t i;
  if (multiplier == 1)
    for (i = 0; i < count; ++i) from[i] = (int16_t)(x[first + i] - zero);
  else
    for (i = 0; i < count; ++i)
      from[i] = (int16_t)(x[(first + i) / multiplier] - zero);
  for (i = 0; i < count; ++i) weight[i] = w[first + i];
  add_products(from, weight, count, s->acc);
  if (delta) add_products(from, delta + first, count, s->part);
}

static void flush(block_sums* s) {
  int32_t i;
  for (i = 0; i < BLOCK; ++i) {
    s->side[i] += s->part[i];
    s->part[i] = 0;
  }
}

static void add_taps(const ft_conv_params* p, const ft_window* win,
                     const ft_args* args, int32_t first, int32_t count,
                     block_sums* s) {
  const int8_t* x = (const int8_t*)args->in[0];
  const int8_t* w = (const int8_t*)args->in[1];
  const int16_t* delta = (const int16_t*)args->in[3];
  int32_t ky, kx, i, taps = 0;
  for (i = 0; i < BLOCK; ++i) {
    s->acc[i] = s->part[i] = 0;
    s->side[i] = 0;
  }
  for (ky = win->ky_begin; ky < win->ky_end; ++ky) {
    for (kx = win->kx_begin; kx < win->kx_end; ++kx) {
      const int32_t tap = (ky * p->k_w + kx) * p->out_c;
      if (++taps % TAPS == 0) flush(s);
      add_tap(p, x + ft_x_index(p, win, ky, kx), w + tap,
              delta ? delta + tap : NULL, first, count, s);
    }
  }
  flush(s);
}

void FT_BFP_ROW(ft_bfp_side_depthwise_conv2d)(const void* params,
                                              const ft_args* args) {
  const ft_bfp_side_depthwise_conv2d_params* all =
      (const ft_bfp_side_depthwise_conv2d_params*)params;
  const ft_conv_params p = all->conv; /* a copy that y cannot alias */
  const int32_t* multiplier = (const int32_t*)args->aux[0];
  const int32_t* shift = (const int32_t*)args->aux[1];
  const ft_part part = ft_part_of(args, ft_num_pixels(&p));
  int8_t* y = (int8_t*)args->out[0] + part.first * p.out_c;
  const ft_side_sums sums = ft_side_sums_of(all, args);
  block_sums s;
  ft_cursor at = ft_cursor_at(&p, part.first);
  int32_t pixel, first, i;
  for (pixel = part.first; pixel < part.end; ++pixel, ft_cursor_next(&p, &at)) {
    const ft_window win = ft_cursor_window(&p, &at);
    for (first = 0; first < p.out_c; first += BLOCK) {
      const int32_t left = p.out_c - first;
      const int32_t count = left < BLOCK ? left : BLOCK;
      add_taps(&p, &win, args, first, count, &s);
      for (i = 0; i < count; ++i) {
        const int32_t c = first + i;
        s.acc[i] = ft_finish_side_sum(&sums, c, s.acc[i], s.side[i]);
      }
      ft_requantize_run(&p, s.acc, multiplier + first, shift + first, count, y);
      y += count;
    }
  }
}
