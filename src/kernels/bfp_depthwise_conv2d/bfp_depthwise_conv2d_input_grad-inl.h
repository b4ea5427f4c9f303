/* See bfp/row.h. */
#include "kernels/bfp/bfp.h"
#include "kernels/bfp/row.h"
#include "kernels/bfp_depthwise_conv2d/bfp_depthwise_conv2d.h"

typedef struct {
  const ft_conv_params* p;
  const int16_t *dy, *w;
} context;

static void add_tap(const ft_conv_params* p, const int16_t* dy,
                    const int16_t* w, int64_t* acc) {
  const int32_t multiplier = p->out_c / p->in_c;
  int32_t c;
  if (multiplier == 1) {
    for (c = 0; c < p->out_c; ++c) acc[c] += dy[c] * w[c];
    return;
  }
  for (c = 0; c < p->out_c; ++c) acc[c / multiplier] += dy[c] * w[c];
}

static void fill_row(const void* ctx, int32_t pixel, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_conv_params* p = c->p;
  const int32_t row = pixel / p->in_w, ix = pixel - row * p->in_w;
  const int32_t image = row / p->in_h, iy = row - image * p->in_h;
  int32_t ky, kx, i;
  for (i = 0; i < p->in_c; ++i) acc[i] = 0;
  for (ky = 0; ky < p->k_h; ++ky) {
    const int32_t oy = ft_gradient_source(iy, p->pad_top, ky, p->dilation_h,
                                          p->stride_h, p->out_h);
    if (oy < 0) continue;
    for (kx = 0; kx < p->k_w; ++kx) {
      const int32_t ox = ft_gradient_source(ix, p->pad_left, kx, p->dilation_w,
                                            p->stride_w, p->out_w);
      if (ox < 0) continue;
      add_tap(p, c->dy + ((image * p->out_h + oy) * p->out_w + ox) * p->out_c,
              c->w + (ky * p->k_w + kx) * p->out_c, acc);
    }
  }
}

void FT_BFP_ROW(ft_bfp_depthwise_conv2d_input_grad)(const void* params,
                                                    const ft_args* args) {
  const ft_bfp_conv2d_params* p = (const ft_bfp_conv2d_params*)params;
  const ft_conv_params* conv = &p->conv;
  context c;
  ft_bfp_matrix m =
      ft_bfp_matrix_of(fill_row, &c, conv->batch * conv->in_h * conv->in_w,
                       conv->in_c, args->scratch, args);
  m.passes = p->passes;
  c.p = conv;
  c.dy = (const int16_t*)args->in[0];
  c.w = (const int16_t*)args->in[2];
  ft_bfp_run(&m, (int32_t*)args->in[4],
             (int64_t) * (const int32_t*)args->in[1] +
                 *(const int32_t*)args->in[3] + p->exponent,
             (int16_t*)args->out[0]);
}
