#include "kernels/bfp/bfp.h"
#include "kernels/bfp_side_depthwise_conv2d/bfp_side_depthwise_conv2d.h"
#include "kernels/quant/fixed_point.h"

/* Channels that are summed at a time, on the stack. */
enum { BLOCK = 32 };

typedef struct {
  int32_t acc[BLOCK];
  int64_t side[BLOCK]; /* sums of (x - zero point) * w_delta */
} block_sums;

/* Adds one kernel element for channels first .. first + count. */
static void add_tap(const ft_conv_params* p, const int8_t* x, const int8_t* w,
                    const int16_t* delta, int32_t first, int32_t count,
                    block_sums* s) {
  const int32_t multiplier = p->out_c / p->in_c, zero = p->x_zero_point;
  int32_t i;
  w += first;
  if (multiplier == 1) {
    x += first;
    for (i = 0; i < count; ++i) s->acc[i] += (x[i] - zero) * w[i];
    if (!delta) return;
    delta += first;
    for (i = 0; i < count; ++i) s->side[i] += (x[i] - zero) * delta[i];
    return;
  }
  for (i = 0; i < count; ++i) {
    const int32_t v = x[(first + i) / multiplier] - zero;
    s->acc[i] += v * w[i];
    if (delta) s->side[i] += v * delta[first + i];
  }
}

static void add_taps(const ft_conv_params* p, const ft_window* win,
                     const ft_args* args, int32_t first, int32_t count,
                     block_sums* s) {
  const int8_t* x = (const int8_t*)args->in[0];
  const int8_t* w = (const int8_t*)args->in[1];
  const int16_t* delta = (const int16_t*)args->in[3];
  int32_t ky, kx, i;
  for (i = 0; i < count; ++i) {
    s->acc[i] = 0;
    s->side[i] = 0;
  }
  for (ky = win->ky_begin; ky < win->ky_end; ++ky) {
    for (kx = win->kx_begin; kx < win->kx_end; ++kx) {
      const int32_t tap = (ky * p->k_w + kx) * p->out_c;
      add_tap(p, x + ft_x_index(p, win, ky, kx), w + tap,
              delta ? delta + tap : NULL, first, count, s);
    }
  }
}

/* What the adapter adds to channel c's accumulator. */
static int32_t side_of(const ft_args* args, int32_t c, int64_t sum) {
  const int32_t* delta_exp = (const int32_t*)args->in[4];
  const int16_t* bias_delta = (const int16_t*)args->in[5];
  const int32_t* bias_exp = (const int32_t*)args->in[6];
  uint32_t side = 0;
  if (delta_exp)
    side += (uint32_t)ft_bfp_scale(
        sum, ((const int32_t*)args->aux[2])[c],
        ft_clamp_exponent((int64_t)*delta_exp +
                          ((const int32_t*)args->aux[3])[c]));
  if (bias_exp)
    side += (uint32_t)ft_bfp_scale(
        bias_delta[c], ((const int32_t*)args->aux[4])[c],
        ft_clamp_exponent((int64_t)*bias_exp +
                          ((const int32_t*)args->aux[5])[c]));
  return (int32_t)side;
}

void ft_bfp_side_depthwise_conv2d_c99(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int32_t* bias = (const int32_t*)args->in[2];
  const int32_t* multiplier = (const int32_t*)args->aux[0];
  const int32_t* shift = (const int32_t*)args->aux[1];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t pixels = ft_num_pixels(p);
  block_sums s;
  int32_t pixel, first, i;
  for (pixel = 0; pixel < pixels; ++pixel) {
    const ft_window win = ft_window_of(p, pixel);
    for (first = 0; first < p->out_c; first += BLOCK) {
      const int32_t left = p->out_c - first;
      const int32_t count = left < BLOCK ? left : BLOCK;
      add_taps(p, &win, args, first, count, &s);
      for (i = 0; i < count; ++i) {
        const int32_t c = first + i;
        uint32_t acc = (uint32_t)s.acc[i];
        int32_t q;
        if (bias) acc += (uint32_t)bias[c];
        acc += (uint32_t)side_of(args, c, s.side[i]);
        q = ft_requantize((int32_t)acc, multiplier[c], shift[c]);
        *y++ = (int8_t)ft_clamp_i32(q + p->y_zero_point, p->q_low, p->q_high);
      }
    }
  }
}
