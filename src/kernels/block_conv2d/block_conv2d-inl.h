/* Loops over x. The includer defines FT_FORWARD and FT_WEIGHT_GRAD (symbols),
 * FT_X (element type of x) and FT_X_AT(v) (x minus its zero point, as
 * ft_real). */
#include "kernels/block_conv2d/block_conv2d.h"
#include "kernels/real.h"

void FT_FORWARD(const void* params, const ft_args* args) {
  const ft_block_conv2d_params* s = (const ft_block_conv2d_params*)params;
  const ft_conv_params* p = &s->conv;
  const FT_X* x = (const FT_X*)args->in[0];
  const ft_real* w = (const ft_real*)args->in[1];
  const int32_t* index = (const int32_t*)args->in[2];
  const int32_t kept = s->blocks * s->block, pixels = ft_num_pixels(p);
  ft_real* y = (ft_real*)args->out[0];
  int32_t pixel, o, ky, kx, b, c;
  for (pixel = 0; pixel < pixels; ++pixel) {
    const ft_window win = ft_window_of(p, pixel);
    for (o = 0; o < p->out_c; ++o) {
      ft_real sum = 0;
      for (ky = win.ky_begin; ky < win.ky_end; ++ky) {
        for (kx = win.kx_begin; kx < win.kx_end; ++kx) {
          const FT_X* xs = x + ft_x_index(p, &win, ky, kx);
          const ft_real* ws = w + ((o * p->k_h + ky) * p->k_w + kx) * kept;
          for (b = 0; b < s->blocks; ++b) {
            const FT_X* from = xs + ft_block_channel(s, index, b);
            for (c = 0; c < s->block; ++c) sum += FT_X_AT(from[c]) * *ws++;
          }
        }
      }
      *y++ = sum * (ft_real)p->x_scale;
    }
  }
}

void FT_WEIGHT_GRAD(const void* params, const ft_args* args) {
  const ft_block_conv2d_params* s = (const ft_block_conv2d_params*)params;
  const ft_conv_params* p = &s->conv;
  const FT_X* x = (const FT_X*)args->in[0];
  const ft_real* dy = (const ft_real*)args->in[1];
  const int32_t* index = (const int32_t*)args->in[2];
  const int32_t kept = s->blocks * s->block, pixels = ft_num_pixels(p);
  const int32_t count = p->out_c * p->k_h * p->k_w * kept;
  ft_real* dw = (ft_real*)args->out[0];
  int32_t pixel, o, ky, kx, b, c, i;
  for (i = 0; i < count; ++i) dw[i] = 0;
  for (pixel = 0; pixel < pixels; ++pixel) {
    const ft_window win = ft_window_of(p, pixel);
    for (o = 0; o < p->out_c; ++o) {
      const ft_real d = *dy++;
      for (ky = win.ky_begin; ky < win.ky_end; ++ky) {
        for (kx = win.kx_begin; kx < win.kx_end; ++kx) {
          const FT_X* xs = x + ft_x_index(p, &win, ky, kx);
          ft_real* to = dw + ((o * p->k_h + ky) * p->k_w + kx) * kept;
          for (b = 0; b < s->blocks; ++b) {
            const FT_X* from = xs + ft_block_channel(s, index, b);
            for (c = 0; c < s->block; ++c) *to++ += d * FT_X_AT(from[c]);
          }
        }
      }
    }
  }
  for (i = 0; i < count; ++i) dw[i] *= (ft_real)p->x_scale;
}
