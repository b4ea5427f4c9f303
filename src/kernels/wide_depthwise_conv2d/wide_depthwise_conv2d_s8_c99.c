#include "kernels/quant/fixed_point.h"
#include "kernels/quant/low_rank.h"
#include "kernels/wide_depthwise_conv2d/wide_depthwise_conv2d.h"

/* Over the whole kernel, for output channel c. */
static int32_t sum_at(const ft_conv_params* p, const ft_window* win,
                      const int8_t* x, const int16_t* w, int32_t c) {
  const int32_t taps = p->k_h * p->k_w, multiplier = p->out_c / p->in_c;
  int32_t sum = 0, ky, kx;
  for (ky = 0; ky < p->k_h; ++ky) {
    for (kx = 0; kx < p->k_w; ++kx) {
      const int inside = ky >= win->ky_begin && ky < win->ky_end &&
                         kx >= win->kx_begin && kx < win->kx_end;
      const int32_t v = inside ? x[ft_x_index(p, win, ky, kx) + c / multiplier]
                               : p->x_zero_point;
      sum = ft_add_wrap(sum, v * w[ft_wide_index(taps, ky * p->k_w + kx, c)]);
    }
  }
  return sum;
}

void ft_wide_depthwise_conv2d_s8_c99(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  const int16_t* w = (const int16_t*)args->in[1];
  const int32_t* start = (const int32_t*)args->in[2];
  const int32_t* multiplier = (const int32_t*)args->aux[0];
  const int32_t* shift = (const int32_t*)args->aux[1];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t pixels = ft_num_pixels(p);
  int32_t pixel, c;
  for (pixel = 0; pixel < pixels; ++pixel) {
    const ft_window win = ft_window_of(p, pixel);
    for (c = 0; c < p->out_c; ++c) {
      int32_t acc = ft_add_wrap(sum_at(p, &win, x, w, c), start[c]);
      acc = ft_requantize(acc >> FT_WIDE_BITS, multiplier[c], shift[c]);
      *y++ = (int8_t)ft_clamp_i32(acc + p->y_zero_point, p->q_low, p->q_high);
    }
  }
}
