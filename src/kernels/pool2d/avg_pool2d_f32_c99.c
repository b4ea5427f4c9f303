#include "kernels/pool2d/pool2d.h"
#include "kernels/real.h"

void FT_NAME(avg_pool2d)(const void* params, const ft_args* args) {
  const ft_pool2d_params* p = (const ft_pool2d_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  ft_real* y = (ft_real*)args->out[0];
  int32_t b, oy, ox, iy, ix, c;
  for (b = 0; b < p->n; ++b, x += p->h * p->w * p->c) {
    for (oy = 0; oy < p->oh; ++oy) {
      for (ox = 0; ox < p->ow; ++ox, y += p->c) {
        const ft_pool2d_window win = ft_pool2d_window_at(p, oy, ox);
        const int32_t count = (win.y1 - win.y0) * (win.x1 - win.x0);
        for (c = 0; c < p->c; ++c) y[c] = 0;
        for (iy = win.y0; iy < win.y1; ++iy) {
          for (ix = win.x0; ix < win.x1; ++ix) {
            const ft_real* pixel = x + (iy * p->w + ix) * p->c;
            for (c = 0; c < p->c; ++c) y[c] += pixel[c];
          }
        }
        for (c = 0; c < p->c; ++c)
          y[c] = ft_apply_act(y[c] / (ft_real)count, p->act);
      }
    }
  }
}

void FT_NAME(avg_pool2d_grad)(const void* params, const ft_args* args) {
  const ft_pool2d_params* p = (const ft_pool2d_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  ft_real* dx = (ft_real*)args->out[0];
  const int32_t image = p->h * p->w * p->c;
  int32_t b, oy, ox, iy, ix, c;
  for (b = 0; b < p->n; ++b, dx += image) {
    for (c = 0; c < image; ++c) dx[c] = 0;
    for (oy = 0; oy < p->oh; ++oy) {
      for (ox = 0; ox < p->ow; ++ox, dy += p->c) {
        const ft_pool2d_window win = ft_pool2d_window_at(p, oy, ox);
        const ft_real share =
            1 / (ft_real)((win.y1 - win.y0) * (win.x1 - win.x0));
        for (iy = win.y0; iy < win.y1; ++iy) {
          for (ix = win.x0; ix < win.x1; ++ix) {
            ft_real* pixel = dx + (iy * p->w + ix) * p->c;
            for (c = 0; c < p->c; ++c) pixel[c] += dy[c] * share;
          }
        }
      }
    }
  }
}
