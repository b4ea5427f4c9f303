/* Scatters dy through w. The includer defines FT_FN, FT_W (element type of w),
 * FT_W_SCALES(args) (their scales, or NULL) and FT_W_SCALE(co) (that factor of
 * one output channel). */
#include "kernels/conv2d/conv2d.h"
#include "kernels/real.h"

static void scatter_pixel(const ft_conv_params* p, const ft_window* win,
                          const ft_real* dy, const FT_W* w,
                          const float* w_scale, ft_real* dx) {
  const int32_t in_per_group = p->in_c / p->groups;
  const int32_t out_per_group = p->out_c / p->groups;
  int32_t ky, kx, co, i;
  (void)w_scale;
  for (ky = win->ky_begin; ky < win->ky_end; ++ky) {
    for (kx = win->kx_begin; kx < win->kx_end; ++kx) {
      ft_real* at = dx + ft_x_index(p, win, ky, kx);
      for (co = 0; co < p->out_c; ++co) {
        const ft_real g = dy[co] * FT_W_SCALE(co);
        const FT_W* FT_RESTRICT ws =
            w + ((co * p->k_h + ky) * p->k_w + kx) * in_per_group;
        ft_real* FT_RESTRICT xs = at + co / out_per_group * in_per_group;
        for (i = 0; i < in_per_group; ++i) xs[i] += g * (ft_real)ws[i];
      }
    }
  }
}

void FT_FN(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  const FT_W* w = (const FT_W*)args->in[1];
  const float* w_scale = FT_W_SCALES(args);
  ft_real* dx = (ft_real*)args->out[0];
  const int32_t pixels = ft_num_pixels(p);
  const int32_t count = p->batch * p->in_h * p->in_w * p->in_c;
  int32_t i;
  for (i = 0; i < count; ++i) dx[i] = 0;
  for (i = 0; i < pixels; ++i) {
    const ft_window win = ft_window_of(p, i);
    scatter_pixel(p, &win, dy + (ptrdiff_t)i * p->out_c, w, w_scale, dx);
  }
}
