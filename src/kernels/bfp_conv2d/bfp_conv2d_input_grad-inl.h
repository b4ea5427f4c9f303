/* See bfp/row.h. */
#include "kernels/bfp/bfp.h"
#include "kernels/bfp/row.h"
#include "kernels/bfp_conv2d/bfp_conv2d.h"

typedef struct {
  const ft_bfp_conv2d_params* p;
  const int16_t* dy;
  const void* w;
  const int32_t* share; /* NULL for int16 w */
  int32_t* acc32;       /* [in_c] */
  int16_t* scaled;      /* one pixel of dy in the unit of the largest scale */
} context;

static void scale_pixel(const context* c, const int16_t* dy) {
  const int32_t shift = 15 + c->p->guard, half = 1 << (shift - 1);
  int32_t co;
  for (co = 0; co < c->p->conv.out_c; ++co)
    c->scaled[co] = (int16_t)((dy[co] * c->share[co] + half) >> shift);
}

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
static void add_s8(const context* c, const int8_t* w, int32_t tap) {
  const ft_conv_params* p = &c->p->conv;
  const int32_t in_per_group = p->in_c / p->groups;
  const int32_t out_per_group = p->out_c / p->groups;
  const int32_t step = p->k_h * p->k_w * in_per_group;
  int32_t group, i;
  for (group = 0; group < p->groups; ++group) {
    const int16_t* g = c->scaled + group * out_per_group;
    const int8_t* ws = w + group * out_per_group * step + tap * in_per_group;
    int32_t* to = c->acc32 + group * in_per_group;
    for (i = 0; i + ROWS <= out_per_group; i += ROWS)
      add_rows(g + i, ws + i * step, step, in_per_group, to);
    for (; i < out_per_group; ++i)
      add_row(g[i], ws + i * step, in_per_group, to);
  }
}

static void add_s16(const context* c, const int16_t* dy, const int16_t* w,
                    int32_t tap, int64_t* acc) {
  const ft_conv_params* p = &c->p->conv;
  const int32_t in_per_group = p->in_c / p->groups;
  const int32_t out_per_group = p->out_c / p->groups;
  int32_t co, i;
  for (co = 0; co < p->out_c; ++co) {
    const int64_t g = dy[co];
    const int16_t* FT_RESTRICT ws =
        w + (co * p->k_h * p->k_w + tap) * in_per_group;
    int64_t* FT_RESTRICT to = acc + co / out_per_group * in_per_group;
    if (g == 0) continue;
    for (i = 0; i < in_per_group; ++i) to[i] += g * ws[i];
  }
}

static void fill_row(const void* ctx, int32_t pixel, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_conv_params* p = &c->p->conv;
  const int32_t row = pixel / p->in_w, ix = pixel - row * p->in_w;
  const int32_t image = row / p->in_h, iy = row - image * p->in_h;
  int32_t ky, kx, i;
  for (i = 0; i < p->in_c; ++i) acc[i] = c->acc32[i] = 0;
  for (ky = 0; ky < p->k_h; ++ky) {
    const int32_t oy = ft_gradient_source(iy, p->pad_top, ky, p->dilation_h,
                                          p->stride_h, p->out_h);
    if (oy < 0) continue;
    for (kx = 0; kx < p->k_w; ++kx) {
      const int32_t ox = ft_gradient_source(ix, p->pad_left, kx, p->dilation_w,
                                            p->stride_w, p->out_w);
      const int32_t tap = ky * p->k_w + kx;
      const int16_t* dy;
      if (ox < 0) continue;
      dy = c->dy + ((image * p->out_h + oy) * p->out_w + ox) * p->out_c;
      if (!c->share) {
        add_s16(c, dy, (const int16_t*)c->w, tap, acc);
        continue;
      }
      scale_pixel(c, dy);
      add_s8(c, (const int8_t*)c->w, tap);
    }
  }
  for (i = 0; i < p->in_c; ++i) acc[i] += c->acc32[i];
}

void FT_BFP_ROW(ft_bfp_conv2d_input_grad)(const void* params,
                                          const ft_args* args) {
  const ft_bfp_conv2d_params* p = (const ft_bfp_conv2d_params*)params;
  const int32_t* dy_exp = (const int32_t*)args->in[1];
  const int32_t* w_exp = (const int32_t*)args->in[3];
  const ft_conv_params* conv = &p->conv;
  int64_t* acc = (int64_t*)args->scratch;
  context c;
  int32_t shift;
  c.p = p;
  c.dy = (const int16_t*)args->in[0];
  c.w = args->in[2];
  c.share = p->is_s8 ? (const int32_t*)args->aux[0] : NULL;
  c.acc32 = (int32_t*)(acc + conv->in_c);
  c.scaled = (int16_t*)(c.acc32 + conv->in_c);
  shift = ft_bfp_rows(fill_row, &c, conv->batch * conv->in_h * conv->in_w,
                      conv->in_c, acc, (int32_t*)args->in[4],
                      (int16_t*)args->out[0]);
  *(int32_t*)args->out[1] = ft_clamp_exponent(
      (int64_t)*dy_exp + (w_exp ? *w_exp : p->guard) + shift + p->exponent);
}
