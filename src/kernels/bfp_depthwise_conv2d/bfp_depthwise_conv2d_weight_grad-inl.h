/* See bfp/row.h. */
#include "kernels/bfp/bfp.h"
#include "kernels/bfp/row.h"
#include "kernels/bfp_depthwise_conv2d/bfp_depthwise_conv2d.h"

typedef struct {
  const ft_bfp_conv2d_params* p;
  const void* x;
  const int16_t* dy;
} context;

static void add_pixel(const ft_conv_params* p, const void* x, int32_t first,
                      const int16_t* dy, int is_s8, int64_t* acc) {
  const int8_t* x8 = (const int8_t*)x + first;
  const int16_t* x16 = (const int16_t*)x + first;
  const int32_t multiplier = p->out_c / p->in_c;
  const int32_t zero = is_s8 ? p->x_zero_point : 0;
  int32_t c;
  if (multiplier == 1) {
    for (c = 0; c < p->out_c; ++c)
      acc[c] += dy[c] * (is_s8 ? x8[c] - zero : x16[c]);
    return;
  }
  for (c = 0; c < p->out_c; ++c) {
    const int32_t from = c / multiplier;
    acc[c] += dy[c] * (is_s8 ? x8[from] - zero : x16[from]);
  }
}

/* Row (ky, kx). */
static void fill_row(const void* ctx, int32_t tap, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_conv_params* p = &c->p->conv;
  const int32_t ky = tap / p->k_w, kx = tap - ky * p->k_w;
  const int32_t pixels = ft_num_pixels(p);
  ft_cursor at = ft_cursor_at(p, 0);
  int32_t i;
  for (i = 0; i < p->out_c; ++i) acc[i] = 0;
  for (i = 0; i < pixels; ++i, ft_cursor_next(p, &at)) {
    const ft_window win = ft_cursor_window(p, &at);
    const int16_t* dy = c->dy + (ptrdiff_t)i * p->out_c;
    if (ky < win.ky_begin || ky >= win.ky_end || kx < win.kx_begin ||
        kx >= win.kx_end)
      continue;
    if (c->p->is_s8)
      add_pixel(p, c->x, ft_x_index(p, &win, ky, kx), dy, 1, acc);
    else
      add_pixel(p, c->x, ft_x_index(p, &win, ky, kx), dy, 0, acc);
  }
}

void FT_BFP_ROW(ft_bfp_depthwise_conv2d_weight_grad)(const void* params,
                                                     const ft_args* args) {
  const ft_bfp_conv2d_params* p = (const ft_bfp_conv2d_params*)params;
  const ft_conv_params* conv = &p->conv;
  const int32_t* x_exp = (const int32_t*)args->in[3];
  const int32_t* dy_exp = (const int32_t*)args->in[2];
  context c;
  c.p = p;
  c.x = args->in[0];
  c.dy = (const int16_t*)args->in[1];
  ft_bfp_rows(fill_row, &c, conv->k_h * conv->k_w, conv->out_c,
              (int64_t*)args->scratch, (int32_t*)args->in[4],
              (int64_t)(x_exp ? *x_exp : 0) + *dy_exp + p->exponent, args);
}
