/* See bfp/row.h. */
#include "kernels/bfp/bfp.h"
#include "kernels/bfp/row.h"
#include "kernels/bfp_conv2d/bfp_conv2d.h"
#include "kernels/bfp_conv2d/gradient_pixel.h"
#include "kernels/bfp_conv2d/input_grad_run.h"

typedef struct {
  const ft_bfp_conv2d_params* p;
  const int16_t* dy;
  const void* w;
  const int32_t* share; /* of int8 w, as is: */
  int16_t* scaled;      /* a pixel of dy in the unit of the largest scale */
} context;

/* Output channels that are added at a time. */
enum { ROWS = 4 };

static void add_rows(const int16_t* g, const int8_t* FT_RESTRICT w,
                     int32_t step, int32_t count, int32_t* FT_RESTRICT to) {
  const int8_t* FT_RESTRICT w1 = w + step;
  const int8_t* FT_RESTRICT w2 = w1 + step;
  const int8_t* FT_RESTRICT w3 = w2 + step;
  const int16_t g0 = g[0], g1 = g[1], g2 = g[2], g3 = g[3];
  int32_t i;
  for (i = 0; i < count; ++i)
    to[i] += g0 * (int16_t)w[i] + g1 * (int16_t)w1[i] + g2 * (int16_t)w2[i] +
             g3 * (int16_t)w3[i];
}

static void add_row(int16_t g, const int8_t* FT_RESTRICT w, int32_t count,
                    int32_t* FT_RESTRICT to) {
  int32_t i;
  if (g == 0) return;
  for (i = 0; i < count; ++i) to[i] += g * (int16_t)w[i];
}

/* acc32 += dy w for one kernel element, int8 weights. */
static void add_s8(const context* c, const int8_t* w, int32_t tap,
                   int32_t* acc) {
  const ft_conv_params* p = &c->p->conv;
  const int32_t in_per_group = p->in_c / p->groups;
  const int32_t out_per_group = p->out_c / p->groups;
  const int32_t step = p->k_h * p->k_w * in_per_group;
  int32_t group, i;
  for (group = 0; group < p->groups; ++group) {
    const int16_t* g = c->scaled + group * out_per_group;
    const int8_t* ws = w + group * out_per_group * step + tap * in_per_group;
    int32_t* to = acc + group * in_per_group;
    for (i = 0; i + ROWS <= out_per_group; i += ROWS)
      add_rows(g + i, ws + i * step, step, in_per_group, to);
    for (; i < out_per_group; ++i)
      add_row(g[i], ws + i * step, in_per_group, to);
  }
}

static void add_wide_rows(const int16_t* g, const int16_t* FT_RESTRICT w,
                          int32_t step, int32_t count,
                          int64_t* FT_RESTRICT to) {
  const int16_t* FT_RESTRICT w1 = w + step;
  const int16_t* FT_RESTRICT w2 = w1 + step;
  const int16_t* FT_RESTRICT w3 = w2 + step;
  const int64_t g0 = g[0], g1 = g[1], g2 = g[2], g3 = g[3];
  int32_t i;
  for (i = 0; i < count; ++i)
    to[i] += g0 * w[i] + g1 * w1[i] + g2 * w2[i] + g3 * w3[i];
}

static void add_wide_row(int64_t g, const int16_t* FT_RESTRICT w, int32_t count,
                         int64_t* FT_RESTRICT to) {
  int32_t i;
  for (i = 0; i < count; ++i) to[i] += g * w[i];
}

/* acc += dy w for one kernel element, int16 weights. */
static void add_s16(const context* c, const int16_t* dy, int32_t tap,
                    int64_t* acc) {
  const ft_conv_params* p = &c->p->conv;
  const int32_t in_per_group = p->in_c / p->groups;
  const int32_t out_per_group = p->out_c / p->groups;
  const int32_t step = p->k_h * p->k_w * in_per_group;
  const int16_t* w = (const int16_t*)c->w + tap * in_per_group;
  int32_t group, i;
  for (group = 0; group < p->groups; ++group) {
    for (i = 0; i + ROWS <= out_per_group; i += ROWS)
      add_wide_rows(dy + i, w + i * step, step, in_per_group, acc);
    for (; i < out_per_group; ++i)
      add_wide_row(dy[i], w + i * step, in_per_group, acc);
    dy += out_per_group;
    w += out_per_group * step;
    acc += in_per_group;
  }
}

static void fill_s8(const void* ctx, int32_t pixel, int32_t* acc) {
  const context* c = (const context*)ctx;
  const ft_conv_params* p = &c->p->conv;
  const ft_gradient_place at = ft_gradient_place_of(p, pixel);
  int32_t ky, kx, i;
  for (i = 0; i < p->in_c; ++i) acc[i] = 0;
  for (ky = 0; ky < p->k_h; ++ky) {
    for (kx = 0; kx < p->k_w; ++kx) {
      const int16_t* dy = ft_gradient_pixel(p, c->dy, &at, ky, kx);
      if (!dy) continue;
      ft_share_pixel(c->p, dy, c->share, c->scaled);
      add_s8(c, (const int8_t*)c->w, ky * p->k_w + kx, acc);
    }
  }
}

static void fill_s16(const void* ctx, int32_t pixel, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_conv_params* p = &c->p->conv;
  const ft_gradient_place at = ft_gradient_place_of(p, pixel);
  int32_t ky, kx, i;
  for (i = 0; i < p->in_c; ++i) acc[i] = 0;
  for (ky = 0; ky < p->k_h; ++ky) {
    for (kx = 0; kx < p->k_w; ++kx) {
      const int16_t* dy = ft_gradient_pixel(p, c->dy, &at, ky, kx);
      if (dy) add_s16(c, dy, ky * p->k_w + kx, acc);
    }
  }
}

void FT_BFP_ROW(ft_bfp_conv2d_input_grad)(const void* params,
                                          const ft_args* args) {
  const ft_bfp_conv2d_params* p = (const ft_bfp_conv2d_params*)params;
  const int32_t* w_exp = (const int32_t*)args->in[3];
  const ft_conv_params* conv = &p->conv;
  const int32_t pixels = conv->batch * conv->in_h * conv->in_w;
  int64_t* wide = (int64_t*)args->scratch;
  int32_t* narrow = (int32_t*)args->scratch;
  int64_t exponent = (int64_t) * (const int32_t*)args->in[1] + p->exponent;
  context c;
  ft_bfp_matrix m =
      ft_bfp_matrix_of(fill_s16, &c, pixels, conv->in_c, wide, args);
  exponent += w_exp ? *w_exp : p->guard;
  m.passes = p->passes;
  c.p = p;
  c.dy = (const int16_t*)args->in[0];
  c.w = args->in[2];
  if (p->is_s8) {
    ft_bfp_matrix of_s32 = m;
    of_s32.fill_s32 = fill_s8;
    c.share = (const int32_t*)args->aux[0];
    c.scaled = (int16_t*)(narrow + conv->in_c);
    ft_input_grad_run(p, args, &of_s32, exponent, c.scaled + conv->out_c);
  } else {
    ft_input_grad_run(p, args, &m, exponent, (int16_t*)(wide + conv->in_c));
  }
}
