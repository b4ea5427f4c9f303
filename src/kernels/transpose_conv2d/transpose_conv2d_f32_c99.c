#include "kernels/real.h"
#include "kernels/transpose_conv2d/source_row.h"
#include "kernels/transpose_conv2d/transpose_conv2d.h"

/* `x` is one image; y and x of the output pixel include the padding. */
static ft_real dot_at(const ft_conv_params* p, const ft_real* x,
                      const ft_real* w, int32_t oy, int32_t ox) {
  ft_real sum = 0;
  int32_t ky, kx, ci;
  for (ky = 0; ky < p->k_h; ++ky) {
    const int32_t iy = ft_source_index(oy - ky, p->stride_h, p->in_h);
    if (iy < 0) continue;
    for (kx = 0; kx < p->k_w; ++kx) {
      const int32_t ix = ft_source_index(ox - kx, p->stride_w, p->in_w);
      const ft_real* ws = w + (ky * p->k_w + kx) * p->in_c;
      const ft_real* xs = x + (iy * p->in_w + (ix < 0 ? 0 : ix)) * p->in_c;
      if (ix < 0) continue;
      for (ci = 0; ci < p->in_c; ++ci) sum += xs[ci] * ws[ci];
    }
  }
  return sum;
}

void FT_NAME(transpose_conv2d)(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  const ft_real* w = (const ft_real*)args->in[1];
  const ft_real* bias = (const ft_real*)args->in[2];
  ft_real* y = (ft_real*)args->out[0];
  const int32_t w_size = p->k_h * p->k_w * p->in_c;
  int32_t n, oy, ox, co;
  for (n = 0; n < p->batch; ++n) {
    for (oy = 0; oy < p->out_h; ++oy) {
      for (ox = 0; ox < p->out_w; ++ox) {
        for (co = 0; co < p->out_c; ++co) {
          ft_real v = dot_at(p, x, w + (ptrdiff_t)co * w_size, oy + p->pad_top,
                             ox + p->pad_left);
          if (bias) v += bias[co];
          *y++ = ft_apply_act(v, p->act);
        }
      }
    }
    x += (ptrdiff_t)p->in_h * p->in_w * p->in_c;
  }
}
