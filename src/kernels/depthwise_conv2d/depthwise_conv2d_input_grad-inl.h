/* Scatters dy through w + w_delta. The includer defines FT_FN, FT_W (element
 * type of w), FT_W_SCALES(args) (their scales, or NULL) and FT_W_SCALE(c) (that
 * factor of one output channel). */
#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/real.h"

static void scatter_tap(const ft_conv_params* p, const ft_real* dy,
                        const FT_W* w, const float* w_scale,
                        const ft_real* delta, ft_real* FT_RESTRICT dx) {
  const int32_t multiplier = p->out_c / p->in_c;
  int32_t c;
  (void)w_scale;
  if (multiplier > 1) {
    for (c = 0; c < p->out_c; ++c) {
      ft_real weight = FT_W_SCALE(c) * (ft_real)w[c];
      if (delta) weight += delta[c];
      dx[c / multiplier] += dy[c] * weight;
    }
  } else if (delta) {
    for (c = 0; c < p->out_c; ++c)
      dx[c] += dy[c] * (FT_W_SCALE(c) * (ft_real)w[c] + delta[c]);
  } else {
    for (c = 0; c < p->out_c; ++c)
      dx[c] += dy[c] * (FT_W_SCALE(c) * (ft_real)w[c]);
  }
}

void FT_FN(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  const FT_W* w = (const FT_W*)args->in[1];
  const ft_real* delta = (const ft_real*)args->in[2];
  const float* w_scale = FT_W_SCALES(args);
  ft_real* dx = (ft_real*)args->out[0];
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  const int32_t count = p->batch * p->in_h * p->in_w * p->in_c;
  int32_t i, ky, kx;
  if (part.first == 0)
    for (i = 0; i < count; ++i) dx[i] = 0;
  for (i = part.first; i < part.end; ++i) {
    const ft_window win = ft_window_of(p, i);
    for (ky = win.ky_begin; ky < win.ky_end; ++ky) {
      for (kx = win.kx_begin; kx < win.kx_end; ++kx) {
        const int32_t tap = (ky * p->k_w + kx) * p->out_c;
        scatter_tap(p, dy + (ptrdiff_t)i * p->out_c, w + tap, w_scale,
                    delta ? delta + tap : NULL,
                    dx + ft_x_index(p, &win, ky, kx));
      }
    }
  }
}
