/* See bfp/row.h. */
#include "kernels/bfp/bfp.h"
#include "kernels/bfp/row.h"
#include "kernels/bfp_conv2d/bfp_conv2d.h"

/* Products of 16 and 9 bits whose sum fits 32. */
enum { TERMS = 256 };

typedef struct {
  const ft_bfp_conv2d_params* p;
  const void* x;
  const int16_t* dy;
  int32_t* part; /* [in_c / groups], of an int8 x */
} context;

static void add_s8(const int8_t* FT_RESTRICT x, int32_t count, int16_t zero,
                   int16_t g, int32_t* FT_RESTRICT part) {
  int32_t i;
  for (i = 0; i < count; ++i) part[i] += g * (int16_t)(x[i] - zero);
}

static void add_s16(const int16_t* FT_RESTRICT x, int32_t count, int32_t g,
                    int64_t* FT_RESTRICT acc) {
  int32_t i;
  for (i = 0; i < count; ++i) acc[i] += g * x[i];
}

static void flush(int32_t* part, int32_t count, int64_t* acc) {
  int32_t i;
  for (i = 0; i < count; ++i) {
    acc[i] += part[i];
    part[i] = 0;
  }
}

/* Row (co, ky, kx): all input channels of one kernel element. */
static void fill_row(const void* ctx, int32_t row, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_conv_params* p = &c->p->conv;
  const int32_t in_per_group = p->in_c / p->groups;
  const int32_t tap = row % (p->k_h * p->k_w), co = row / (p->k_h * p->k_w);
  const int32_t ky = tap / p->k_w, kx = tap - ky * p->k_w;
  const int32_t first = co / (p->out_c / p->groups) * in_per_group;
  const int32_t pixels = ft_num_pixels(p);
  ft_cursor at = ft_cursor_at(p, 0);
  int32_t i, terms = 0;
  for (i = 0; i < in_per_group; ++i) acc[i] = 0;
  for (i = 0; c->part && i < in_per_group; ++i) c->part[i] = 0;
  for (i = 0; i < pixels; ++i, ft_cursor_next(p, &at)) {
    const ft_window win = ft_cursor_window(p, &at);
    const int16_t g = c->dy[(ptrdiff_t)i * p->out_c + co];
    const int inside = ky >= win.ky_begin && ky < win.ky_end &&
                       kx >= win.kx_begin && kx < win.kx_end;
    const int32_t from = inside ? ft_x_index(p, &win, ky, kx) + first : 0;
    if (!inside || g == 0) continue;
    if (!c->part) {
      add_s16((const int16_t*)c->x + from, in_per_group, g, acc);
      continue;
    }
    add_s8((const int8_t*)c->x + from, in_per_group, (int16_t)p->x_zero_point,
           g, c->part);
    if (++terms % TERMS == 0) flush(c->part, in_per_group, acc);
  }
  if (c->part) flush(c->part, in_per_group, acc);
}

void FT_BFP_ROW(ft_bfp_conv2d_weight_grad)(const void* params,
                                           const ft_args* args) {
  const ft_bfp_conv2d_params* p = (const ft_bfp_conv2d_params*)params;
  const ft_conv_params* conv = &p->conv;
  const int32_t* x_exp = (const int32_t*)args->in[3];
  const int32_t* dy_exp = (const int32_t*)args->in[2];
  context c;
  int32_t shift;
  c.p = p;
  c.x = args->in[0];
  c.dy = (const int16_t*)args->in[1];
  c.part = p->is_s8
               ? (int32_t*)((int64_t*)args->scratch + conv->in_c / conv->groups)
               : NULL;
  shift = ft_bfp_rows(fill_row, &c, conv->out_c * conv->k_h * conv->k_w,
                      conv->in_c / conv->groups, (int64_t*)args->scratch,
                      (int32_t*)args->in[4], (int16_t*)args->out[0]);
  *(int32_t*)args->out[1] = ft_clamp_exponent((int64_t)(x_exp ? *x_exp : 0) +
                                              *dy_exp + shift + p->exponent);
}
