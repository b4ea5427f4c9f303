/* Sums x times dy over all pixels. The includer defines FT_FN, FT_X (element
 * type of x) and FT_X_AT(v) (x minus its zero point, as ft_real). */
#include "kernels/conv2d/conv2d.h"
#include "kernels/real.h"

static void add_pixel(const ft_conv_params* p, const ft_window* win,
                      const FT_X* x, const ft_real* dy, ft_real* dw) {
  const int32_t in_per_group = p->in_c / p->groups;
  const int32_t out_per_group = p->out_c / p->groups;
  const int32_t step = ft_run_columns(p, win), run = step * in_per_group;
  int32_t ky, kx, co, i;
  for (co = 0; co < p->out_c; ++co) {
    const ft_real g = dy[co] * (ft_real)p->x_scale;
    const int32_t first = co / out_per_group * in_per_group;
    for (ky = win->ky_begin; ky < win->ky_end; ++ky) {
      for (kx = win->kx_begin; kx < win->kx_end; kx += step) {
        const FT_X* FT_RESTRICT xs = x + ft_x_index(p, win, ky, kx) + first;
        ft_real* FT_RESTRICT ws =
            dw + ((co * p->k_h + ky) * p->k_w + kx) * in_per_group;
        for (i = 0; i < run; ++i) ws[i] += g * FT_X_AT(xs[i]);
      }
    }
  }
}

void FT_FN(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const FT_X* x = (const FT_X*)args->in[0];
  const ft_real* dy = (const ft_real*)args->in[1];
  ft_real* dw = (ft_real*)args->out[0];
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  const int32_t count = p->out_c * p->k_h * p->k_w * (p->in_c / p->groups);
  int32_t i;
  if (part.first == 0)
    for (i = 0; i < count; ++i) dw[i] = 0;
  for (i = part.first; i < part.end; ++i) {
    const ft_window win = ft_window_of(p, i);
    add_pixel(p, &win, x, dy + (ptrdiff_t)i * p->out_c, dw);
  }
}
