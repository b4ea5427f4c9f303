#include "kernels/block_conv2d/block_conv2d.h"
#include "kernels/real.h"

void FT_NAME(block_conv2d_input_grad)(const void* params, const ft_args* args) {
  const ft_block_conv2d_params* s = (const ft_block_conv2d_params*)params;
  const ft_conv_params* p = &s->conv;
  const ft_real* dy = (const ft_real*)args->in[0];
  const ft_real* w = (const ft_real*)args->in[1];
  const int32_t* index = (const int32_t*)args->in[2];
  const int32_t kept = s->blocks * s->block, pixels = ft_num_pixels(p);
  const int32_t count = p->batch * p->in_h * p->in_w * p->in_c;
  ft_real* dx = (ft_real*)args->out[0];
  int32_t pixel, o, ky, kx, b, c, i;
  for (i = 0; i < count; ++i) dx[i] = 0;
  for (pixel = 0; pixel < pixels; ++pixel) {
    const ft_window win = ft_window_of(p, pixel);
    for (o = 0; o < p->out_c; ++o) {
      const ft_real d = *dy++;
      for (ky = win.ky_begin; ky < win.ky_end; ++ky) {
        for (kx = win.kx_begin; kx < win.kx_end; ++kx) {
          ft_real* xs = dx + ft_x_index(p, &win, ky, kx);
          const ft_real* from = w + ((o * p->k_h + ky) * p->k_w + kx) * kept;
          for (b = 0; b < s->blocks; ++b) {
            ft_real* to = xs + ft_block_channel(s, index, b);
            for (c = 0; c < s->block; ++c) to[c] += d * *from++;
          }
        }
      }
    }
  }
}
