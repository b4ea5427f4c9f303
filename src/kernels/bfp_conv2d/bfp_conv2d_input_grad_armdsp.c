/* Two input channels at a time against the gathered pixels of dy; int8 weights
 * of one group.
 *
 * aux: shares as the C99 row has them; weights [in_c / 2][k_h * k_w][out_c]
 * [2 channels] as bytes, in_c rounded up to an even number and out_c to one of
 * 4. scratch: int32 [in_c], a run for each of k_h * k_w, int16 [k_h * k_w,
 * out_c], and int16 [in_c] for an addend. */
#include "kernels/bfp/armdsp.h"
#include "kernels/bfp/bfp.h"
#include "kernels/bfp_conv2d/bfp_conv2d.h"
#include "kernels/bfp_conv2d/gradient_pixel.h"
#include "kernels/bfp_conv2d/input_grad_run.h"

/* Kernel elements next to each other that meet dy. */
typedef struct {
  int32_t tap, count;
} run;

typedef struct {
  const ft_bfp_conv2d_params* p;
  const int16_t* dy;
  const int32_t* share;
  const int8_t* w;
  int32_t out_c; /* rounded up */
  int16_t* pixels;
  run* runs;
} context;

/* Fills pixels and runs; how many there are of the latter. */
static int32_t gather(const context* c, int32_t pixel) {
  const ft_conv_params* p = &c->p->conv;
  const ft_gradient_place at = ft_gradient_place_of(p, pixel);
  run* r = c->runs - 1;
  int16_t* to = c->pixels;
  int32_t ky, kx, next = -1;
  for (ky = 0; ky < p->k_h; ++ky) {
    for (kx = 0; kx < p->k_w; ++kx) {
      const int16_t* dy = ft_gradient_pixel(p, c->dy, &at, ky, kx);
      const int32_t tap = ky * p->k_w + kx;
      if (!dy) continue;
      ft_share_pixel(c->p, dy, c->share, to);
      memset(to + p->out_c, 0, (size_t)(c->out_c - p->out_c) * sizeof(int16_t));
      to += c->out_c;
      if (tap != next) {
        ++r;
        r->tap = tap;
        r->count = 0;
      }
      ++r->count;
      next = tap + 1;
    }
  }
  return (int32_t)(r + 1 - c->runs);
}

static void fill(const void* ctx, int32_t pixel, int32_t* acc) {
  const context* c = (const context*)ctx;
  const ft_conv_params* p = &c->p->conv;
  const int32_t runs = gather(c, pixel), channel = 2 * c->out_c;
  const int8_t* w = c->w;
  int32_t ci, i;
  for (ci = 0; ci < p->in_c; ci += 2, w += p->k_h * p->k_w * channel) {
    const int16_t* x = c->pixels;
    acc[ci] = acc[ci + 1] = 0;
    for (i = 0; i < runs; ++i) {
      const int32_t count = c->runs[i].count * c->out_c;
      ft_dsp_dot_2(x, w + c->runs[i].tap * channel, count, acc + ci);
      x += count;
    }
  }
}

void ft_bfp_conv2d_input_grad_armdsp(const void* params, const ft_args* args) {
  const ft_bfp_conv2d_params* p = (const ft_bfp_conv2d_params*)params;
  const ft_conv_params* conv = &p->conv;
  const int32_t taps = conv->k_h * conv->k_w;
  int32_t* acc = (int32_t*)args->scratch;
  context c;
  ft_bfp_matrix m = ft_bfp_matrix_of(
      NULL, &c, conv->batch * conv->in_h * conv->in_w, conv->in_c, acc, args);
  m.fill_s32 = fill;
  m.passes = p->passes;
  c.p = p;
  c.dy = (const int16_t*)args->in[0];
  c.share = (const int32_t*)args->aux[0];
  c.w = (const int8_t*)args->aux[1];
  c.out_c = (conv->out_c + 3) / 4 * 4;
  c.runs = (run*)(acc + conv->in_c + conv->in_c % 2);
  c.pixels = (int16_t*)(c.runs + taps);
  ft_input_grad_run(
      p, args, &m,
      (int64_t) * (const int32_t*)args->in[1] + p->guard + p->exponent,
      c.pixels + taps * c.out_c);
}
