/* Sums x times dy over all pixels. The includer defines FT_FN, FT_X (element
 * type of x) and FT_X_AT(v) (x minus its zero point, as ft_real). */
#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/real.h"

static void add_tap(const ft_conv_params* p, const FT_X* x, const ft_real* dy,
                    ft_real* FT_RESTRICT dw) {
  const int32_t multiplier = p->out_c / p->in_c;
  const ft_real x_scale = (ft_real)p->x_scale;
  int32_t c;
  if (multiplier == 1) {
    for (c = 0; c < p->out_c; ++c) dw[c] += x_scale * FT_X_AT(x[c]) * dy[c];
  } else {
    for (c = 0; c < p->out_c; ++c) {
      const int32_t channel = c / multiplier;
      dw[c] += x_scale * FT_X_AT(x[channel]) * dy[c];
    }
  }
}

void FT_FN(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const FT_X* x = (const FT_X*)args->in[0];
  const ft_real* dy = (const ft_real*)args->in[1];
  ft_real* dw = (ft_real*)args->out[0];
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  const int32_t count = p->k_h * p->k_w * p->out_c;
  int32_t i, ky, kx;
  if (part.first == 0)
    for (i = 0; i < count; ++i) dw[i] = 0;
  for (i = part.first; i < part.end; ++i) {
    const ft_window win = ft_window_of(p, i);
    for (ky = win.ky_begin; ky < win.ky_end; ++ky)
      for (kx = win.kx_begin; kx < win.kx_end; ++kx)
        add_tap(p, x + ft_x_index(p, &win, ky, kx),
                dy + (ptrdiff_t)i * p->out_c,
                dw + (ky * p->k_w + kx) * p->out_c);
  }
}
