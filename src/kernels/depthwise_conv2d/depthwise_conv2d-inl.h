/* Forward loops of a float output. The includer defines FT_FN (symbol), FT_X
 * (element type of x) and FT_X_AT(v) (x minus its zero point, as ft_real). */
#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/real.h"

/* acc[i] += x * (w + delta) of channels first .. first + count. */
static void add_tap(const ft_conv_params* p, const FT_X* x, const ft_real* w,
                    const ft_real* delta, int32_t first, int32_t count,
                    ft_real* FT_RESTRICT acc) {
  const int32_t multiplier = p->out_c / p->in_c;
  int32_t i;
  w += first;
  if (multiplier == 1) {
    x += first;
    if (delta) {
      delta += first;
      for (i = 0; i < count; ++i) acc[i] += FT_X_AT(x[i]) * (w[i] + delta[i]);
    } else {
      for (i = 0; i < count; ++i) acc[i] += FT_X_AT(x[i]) * w[i];
    }
    return;
  }
  for (i = 0; i < count; ++i) {
    const ft_real weight = delta ? w[i] + delta[first + i] : w[i];
    const int32_t channel = (first + i) / multiplier;
    acc[i] += FT_X_AT(x[channel]) * weight;
  }
}

void FT_FN(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const FT_X* x = (const FT_X*)args->in[0];
  const ft_real* w = (const ft_real*)args->in[1];
  const ft_real* bias = (const ft_real*)args->in[2];
  const ft_real* delta = (const ft_real*)args->in[3];
  const ft_real* gain = (const ft_real*)args->in[5];
  const int bias_inside = !gain || p->gain_bias;
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  ft_real* y = (ft_real*)args->out[0] + part.first * p->out_c;
  ft_real acc[FT_DEPTHWISE_BLOCK];
  int32_t pixel, first, ky, kx, i;
  for (pixel = part.first; pixel < part.end; ++pixel) {
    const ft_window win = ft_window_of(p, pixel);
    for (first = 0; first < p->out_c; first += FT_DEPTHWISE_BLOCK) {
      const int32_t left = p->out_c - first;
      const int32_t count =
          left < FT_DEPTHWISE_BLOCK ? left : FT_DEPTHWISE_BLOCK;
      for (i = 0; i < count; ++i) acc[i] = 0;
      for (ky = win.ky_begin; ky < win.ky_end; ++ky) {
        for (kx = win.kx_begin; kx < win.kx_end; ++kx) {
          const int32_t tap = (ky * p->k_w + kx) * p->out_c;
          add_tap(p, x + ft_x_index(p, &win, ky, kx), w + tap,
                  delta ? delta + tap : NULL, first, count, acc);
        }
      }
      for (i = 0; i < count; ++i) {
        ft_real v = acc[i] * (ft_real)p->x_scale;
        if (bias && bias_inside) v += bias[first + i];
        if (gain) v *= gain[first + i];
        if (bias && !bias_inside) v += bias[first + i];
        *y++ = ft_apply_act(v, p->act);
      }
    }
  }
}
