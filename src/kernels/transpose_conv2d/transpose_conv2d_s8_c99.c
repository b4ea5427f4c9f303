#include "kernels/quant/fixed_point.h"
#include "kernels/quant/low_rank.h"
#include "kernels/transpose_conv2d/source_row.h"
#include "kernels/transpose_conv2d/transpose_conv2d.h"

/* `x` is one image; y and x of the output pixel include the padding. */
static int32_t dot_at(const ft_conv_params* p, const int8_t* x, const int8_t* w,
                      int32_t oy, int32_t ox) {
  const int32_t zero_point = p->x_zero_point;
  int32_t sum = 0, ky, kx, ci;
  for (ky = 0; ky < p->k_h; ++ky) {
    const int32_t iy = ft_source_index(oy - ky, p->stride_h, p->in_h);
    if (iy < 0) continue;
    for (kx = 0; kx < p->k_w; ++kx) {
      const int32_t ix = ft_source_index(ox - kx, p->stride_w, p->in_w);
      const int8_t* ws = w + (ky * p->k_w + kx) * p->in_c;
      const int8_t* xs = x + (iy * p->in_w + (ix < 0 ? 0 : ix)) * p->in_c;
      if (ix < 0) continue;
      for (ci = 0; ci < p->in_c; ++ci) sum += (xs[ci] - zero_point) * ws[ci];
    }
  }
  return sum;
}

void ft_transpose_conv2d_s8_c99(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const int8_t* x = (const int8_t*)args->in[0];
  const int8_t* w = (const int8_t*)args->in[1];
  const int32_t* bias = (const int32_t*)args->in[2];
  const int32_t* multiplier = (const int32_t*)args->aux[0];
  const int32_t* shift = (const int32_t*)args->aux[1];
  int8_t* y = (int8_t*)args->out[0];
  const int32_t w_size = p->k_h * p->k_w * p->in_c;
  int32_t n, oy, ox, co;
  for (n = 0; n < p->batch; ++n) {
    for (oy = 0; oy < p->out_h; ++oy) {
      for (ox = 0; ox < p->out_w; ++ox) {
        for (co = 0; co < p->out_c; ++co) {
          int32_t acc = dot_at(p, x, w + (ptrdiff_t)co * w_size,
                               oy + p->pad_top, ox + p->pad_left);
          if (bias) acc = ft_add_wrap(acc, bias[co]);
          acc = ft_requantize(acc, multiplier[co], shift[co]) + p->y_zero_point;
          *y++ = (int8_t)ft_clamp_i32(acc, p->q_low, p->q_high);
        }
      }
    }
    x += (ptrdiff_t)p->in_h * p->in_w * p->in_c;
  }
}
