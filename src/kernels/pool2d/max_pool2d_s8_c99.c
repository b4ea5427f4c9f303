#include "kernels/pool2d/pool2d.h"
#include "kernels/quant/fixed_point.h"

void ft_max_pool2d_s8_c99(const void* params, const ft_args* args) {
  const ft_pool2d_params* p = (const ft_pool2d_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  int8_t* y = (int8_t*)args->out[0];
  int32_t b, oy, ox, iy, ix, c;
  for (b = 0; b < p->n; ++b, x += p->h * p->w * p->c) {
    for (oy = 0; oy < p->oh; ++oy) {
      for (ox = 0; ox < p->ow; ++ox, y += p->c) {
        const ft_pool2d_window win = ft_pool2d_window_at(p, oy, ox);
        for (c = 0; c < p->c; ++c) y[c] = -128;
        for (iy = win.y0; iy < win.y1; ++iy) {
          for (ix = win.x0; ix < win.x1; ++ix) {
            const int8_t* pixel = x + (iy * p->w + ix) * p->c;
            for (c = 0; c < p->c; ++c)
              if (pixel[c] > y[c]) y[c] = pixel[c];
          }
        }
        for (c = 0; c < p->c; ++c)
          y[c] = (int8_t)ft_clamp_i32(y[c], p->act_min, p->act_max);
      }
    }
  }
}

void ft_max_pool2d_grad_f32s8_c99(const void* params, const ft_args* args) {
  const ft_pool2d_params* p = (const ft_pool2d_params*)params;
  const float* dy = (const float*)args->in[0];
  const int8_t* x = (const int8_t*)args->in[1];
  const int8_t* y = (const int8_t*)args->in[2];
  float* dx = (float*)args->out[0];
  const int32_t image = p->h * p->w * p->c;
  int32_t b, oy, ox, iy, ix, c;
  for (b = 0; b < p->n; ++b, x += image, dx += image) {
    for (c = 0; c < image; ++c) dx[c] = 0;
    for (oy = 0; oy < p->oh; ++oy) {
      for (ox = 0; ox < p->ow; ++ox, y += p->c, dy += p->c) {
        const ft_pool2d_window win = ft_pool2d_window_at(p, oy, ox);
        for (c = 0; c < p->c; ++c) {
          int32_t found = -1;
          for (iy = win.y0; iy < win.y1 && found < 0; ++iy)
            for (ix = win.x0; ix < win.x1 && found < 0; ++ix)
              if (x[(iy * p->w + ix) * p->c + c] == y[c])
                found = (iy * p->w + ix) * p->c + c;
          if (found >= 0) dx[found] += dy[c];
        }
      }
    }
  }
}
