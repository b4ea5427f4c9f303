#include "kernels/pool2d/pool2d.h"
#include "kernels/quant/fixed_point.h"

/* Sums stay exact: int8 times a window below 2^24 pixels (see ops). */
void ft_avg_pool2d_s8_c99(const void* params, const ft_args* args) {
  const ft_pool2d_params* p = (const ft_pool2d_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  int32_t b, oy, ox, iy, ix, c;
  for (b = 0; b < p->n; ++b, x += p->h * p->w * p->c) {
    for (oy = 0; oy < p->oh; ++oy) {
      for (ox = 0; ox < p->ow; ++ox, y += p->c) {
        const ft_pool2d_window win = ft_pool2d_window_at(p, oy, ox);
        const int32_t count = (win.y1 - win.y0) * (win.x1 - win.x0);
        for (c = 0; c < p->c; ++c) {
          int32_t sum = 0;
          for (iy = win.y0; iy < win.y1; ++iy)
            for (ix = win.x0; ix < win.x1; ++ix)
              sum += x[(iy * p->w + ix) * p->c + c];
          sum += sum > 0 ? count / 2 : -(count / 2);
          y[c] = (int8_t)ft_clamp_i32(sum / count, p->act_min, p->act_max);
        }
      }
    }
  }
}
