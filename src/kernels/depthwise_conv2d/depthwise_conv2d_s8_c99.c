#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/quant/fixed_point.h"
#include "kernels/quant/low_rank.h"

typedef struct {
  int32_t acc[FT_DEPTHWISE_BLOCK];
  float side[FT_DEPTHWISE_BLOCK]; /* sums of (x - zero point) * w_delta */
} block_sums;

/* Adds one kernel element for channels first .. first + count. */
static void add_tap(const ft_conv_params* p, const int8_t* x, const int8_t* w,
                    const float* delta, int32_t first, int32_t count,
                    block_sums* s) {
  const int32_t multiplier = p->out_c / p->in_c, zero = p->x_zero_point;
  int32_t i;
  w += first;
  if (multiplier == 1) {
    x += first;
    for (i = 0; i < count; ++i) s->acc[i] += (x[i] - zero) * w[i];
    if (!delta) return;
    delta += first;
    for (i = 0; i < count; ++i) s->side[i] += (float)(x[i] - zero) * delta[i];
    return;
  }
  for (i = 0; i < count; ++i) {
    const int32_t v = x[(first + i) / multiplier] - zero;
    s->acc[i] += v * w[i];
    if (delta) s->side[i] += (float)v * delta[first + i];
  }
}

/* The accumulator of channel c with all that is added to it. */
static int32_t finish_sum(const ft_conv_params* p, const ft_args* args,
                          int32_t c, int32_t acc, float side) {
  const int32_t* bias = (const int32_t*)args->in[2];
  const float* bias_delta = (const float*)args->in[4];
  const float* gain = (const float*)args->in[5];
  const float inv_w_scale = ((const float*)args->aux[2])[c];
  const int bias_inside = !gain || p->gain_bias;
  const float difference =
      bias_delta ? bias_delta[c] * (inv_w_scale / p->x_scale) : 0;
  side *= inv_w_scale;
  if (bias && bias_inside) acc = ft_add_wrap(acc, bias[c]);
  if (bias_inside) side += difference;
  if (gain) side = ft_gain_difference(gain[c], acc, side);
  if (!bias_inside) side += difference;
  acc = ft_add_wrap(acc, ft_round_to_acc(side));
  return bias && !bias_inside ? ft_add_wrap(acc, bias[c]) : acc;
}

void ft_depthwise_conv2d_s8_c99(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  const int8_t* w = (const int8_t*)args->in[1];
  const float* delta = (const float*)args->in[3];
  const int32_t* multiplier = (const int32_t*)args->aux[0];
  const int32_t* shift = (const int32_t*)args->aux[1];
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  int8_t* y = (int8_t*)args->out[0] + part.first * p->out_c;
  block_sums s;
  int32_t pixel, first, ky, kx, i;
  for (pixel = part.first; pixel < part.end; ++pixel) {
    const ft_window win = ft_window_of(p, pixel);
    for (first = 0; first < p->out_c; first += FT_DEPTHWISE_BLOCK) {
      const int32_t left = p->out_c - first;
      const int32_t count =
          left < FT_DEPTHWISE_BLOCK ? left : FT_DEPTHWISE_BLOCK;
      for (i = 0; i < count; ++i) {
        s.acc[i] = 0;
        s.side[i] = 0;
      }
      for (ky = win.ky_begin; ky < win.ky_end; ++ky) {
        for (kx = win.kx_begin; kx < win.kx_end; ++kx) {
          const int32_t tap = (ky * p->k_w + kx) * p->out_c;
          add_tap(p, x + ft_x_index(p, &win, ky, kx), w + tap,
                  delta ? delta + tap : NULL, first, count, &s);
        }
      }
      for (i = 0; i < count; ++i) {
        const int32_t c = first + i;
        int32_t acc = finish_sum(p, args, c, s.acc[i], s.side[i]);
        acc = ft_requantize(acc, multiplier[c], shift[c]) + p->y_zero_point;
        *y++ = (int8_t)ft_clamp_i32(acc, p->q_low, p->q_high);
      }
    }
  }
}
