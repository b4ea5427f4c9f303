/* Two channels at a time, one output each, an even number of them: their sums
 * stay in registers. scratch: as the C99 row's, and int32 [2, k_h * k_w]. */
#include "kernels/bfp/armdsp.h"
#include "kernels/bfp/bfp.h"
#include "kernels/bfp_conv2d/gradient_pixel.h"
#include "kernels/bfp_depthwise_conv2d/bfp_depthwise_conv2d.h"

typedef struct {
  const ft_conv_params* p;
  const int16_t *dy, *w;
  int32_t* offsets; /* pairs of bytes into dy and w, of each kernel element */
} context;

/* Behind the last pair. */
static int32_t* list_elements(const context* c, int32_t pixel) {
  const ft_conv_params* p = c->p;
  const ft_gradient_place at = ft_gradient_place_of(p, pixel);
  int32_t *to = c->offsets, ky, kx;
  for (ky = 0; ky < p->k_h; ++ky) {
    for (kx = 0; kx < p->k_w; ++kx) {
      const int16_t* dy = ft_gradient_pixel(p, c->dy, &at, ky, kx);
      if (!dy) continue;
      to[0] = (int32_t)((dy - c->dy) * (ptrdiff_t)sizeof(int16_t));
      to[1] = (ky * p->k_w + kx) * p->out_c * (int32_t)sizeof(int16_t);
      to += 2;
    }
  }
  return to;
}

static void fill(const void* ctx, int32_t pixel, int64_t* acc) {
  const context* c = (const context*)ctx;
  const int32_t* end = list_elements(c, pixel);
  int32_t i;
  for (i = 0; i < c->p->in_c; i += 2)
    ft_dsp_sum_2(c->offsets, end, c->dy + i, c->w + i, acc + i);
}

void ft_bfp_depthwise_conv2d_input_grad_armdsp(const void* params,
                                               const ft_args* args) {
  const ft_bfp_conv2d_params* p = (const ft_bfp_conv2d_params*)params;
  const ft_conv_params* conv = &p->conv;
  int64_t* acc = (int64_t*)args->scratch;
  context c;
  ft_bfp_matrix m = ft_bfp_matrix_of(
      fill, &c, conv->batch * conv->in_h * conv->in_w, conv->in_c, acc, args);
  m.passes = p->passes;
  c.p = conv;
  c.dy = (const int16_t*)args->in[0];
  c.w = (const int16_t*)args->in[2];
  c.offsets = (int32_t*)(acc + conv->in_c);
  ft_bfp_run(&m, (int32_t*)args->in[4],
             (int64_t) * (const int32_t*)args->in[1] +
                 *(const int32_t*)args->in[3] + p->exponent,
             (int16_t*)args->out[0]);
}
