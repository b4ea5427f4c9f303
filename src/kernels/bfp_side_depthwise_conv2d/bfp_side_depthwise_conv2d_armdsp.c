/* Four channels at a time, one output each, with up to 256 kernel elements. */
#define FT_BFP_ARMDSP
#include "kernels/bfp/armdsp.h"
#include "kernels/bfp/requantize.h"
#include "kernels/bfp/side.h"
#include "kernels/bfp_side_depthwise_conv2d/bfp_side_depthwise_conv2d.h"
#include "kernels/bfp_side_depthwise_conv2d/finish_sum.h"

enum { CHANNELS = 4 };

/* The kernel elements that meet the image at one output pixel. */
typedef struct {
  const int8_t* x; /* under the first */
  int32_t first;   /* offset of the first one's weights */
  int32_t rows, columns;
  int32_t x_row, x_column, w_row, w_column; /* offsets to the next */
} elements;

static elements elements_of(const ft_conv_params* p, const ft_window* win,
                            const int8_t* x) {
  elements e;
  e.x = x + ft_x_index(p, win, win->ky_begin, win->kx_begin);
  e.first = (win->ky_begin * p->k_w + win->kx_begin) * p->out_c;
  e.rows = win->ky_end - win->ky_begin;
  e.columns = win->kx_end - win->kx_begin;
  e.x_column = p->dilation_w * p->in_c;
  e.w_column = p->out_c;
  e.x_row = p->dilation_h * p->in_w * p->in_c - e.columns * e.x_column;
  e.w_row = (p->k_w - e.columns) * p->out_c;
  return e;
}

/* Sums of (x - zero point) w, channels from `channel` on; `minus` has minus the
 * zero point in both halves. */
static void add_weights(const elements* e, int32_t minus, const int8_t* w,
                        int32_t channel, int32_t* sum) {
  const int8_t* x = e->x + channel;
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, row, i;
  w += e->first + channel;
  for (row = 0; row < e->rows; ++row, x += e->x_row, w += e->w_row) {
    for (i = e->columns; i > 0; --i, x += e->x_column, w += e->w_column)
      ft_dsp_add_4_s8(x, minus, w, &s0, &s1, &s2, &s3);
  }
  sum[0] = s0;
  sum[1] = s1;
  sum[2] = s2;
  sum[3] = s3;
}

static void add_delta(const elements* e, int32_t minus, const int16_t* w,
                      int32_t channel, int32_t* sum) {
  const int8_t* x = e->x + channel;
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, row, i;
  w += e->first + channel;
  for (row = 0; row < e->rows; ++row, x += e->x_row, w += e->w_row) {
    for (i = e->columns; i > 0; --i, x += e->x_column, w += e->w_column)
      ft_dsp_add_4_s16(x, minus, w, &s0, &s1, &s2, &s3);
  }
  sum[0] = s0;
  sum[1] = s1;
  sum[2] = s2;
  sum[3] = s3;
}

void ft_bfp_side_depthwise_conv2d_armdsp(const void* params,
                                         const ft_args* args) {
  const ft_bfp_side_depthwise_conv2d_params* all =
      (const ft_bfp_side_depthwise_conv2d_params*)params;
  const ft_conv_params* p = &all->conv;
  const int8_t* w = (const int8_t*)args->in[1];
  const int16_t* delta = (const int16_t*)args->in[3];
  const int32_t* multiplier = (const int32_t*)args->aux[0];
  const int32_t* shift = (const int32_t*)args->aux[1];
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  int8_t* y = (int8_t*)args->out[0] + part.first * p->out_c;
  const int32_t minus = ft_dsp_minus(p->x_zero_point);
  const ft_side_sums sums = ft_side_sums_of(all, args);
  ft_cursor at = ft_cursor_at(p, part.first);
  int32_t acc[CHANNELS], side[CHANNELS] = {0, 0, 0, 0}, pixel, c, i;
  for (pixel = part.first; pixel < part.end; ++pixel, ft_cursor_next(p, &at)) {
    const ft_window win = ft_cursor_window(p, &at);
    const elements e = elements_of(p, &win, (const int8_t*)args->in[0]);
    for (c = 0; c < p->out_c; c += CHANNELS, y += CHANNELS) {
      add_weights(&e, minus, w, c, acc);
      if (delta) add_delta(&e, minus, delta, c, side);
      for (i = 0; i < CHANNELS; ++i)
        acc[i] = ft_finish_side_sum(&sums, c + i, acc[i], side[i]);
      ft_requantize_run(p, acc, multiplier + c, shift + c, CHANNELS, y);
    }
  }
}
