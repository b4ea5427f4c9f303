#include "kernels/bfp/bfp.h"
#include "kernels/bfp_conv2d/bfp_conv2d.h"

typedef struct {
  const ft_bfp_conv2d_params* p;
  const void* x;
  const int16_t* dy;
} context;

static void add_run(const void* x, int32_t first, int32_t count, int32_t zero,
                    int64_t g, int is_s8, int64_t* FT_RESTRICT acc) {
  const int8_t* x8 = (const int8_t*)x + first;
  const int16_t* x16 = (const int16_t*)x + first;
  int32_t i;
  for (i = 0; i < count; ++i) acc[i] += g * (is_s8 ? x8[i] - zero : x16[i]);
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
  int32_t i;
  for (i = 0; i < in_per_group; ++i) acc[i] = 0;
  for (i = 0; i < pixels; ++i, ft_cursor_next(p, &at)) {
    const ft_window win = ft_cursor_window(p, &at);
    const int64_t g = c->dy[(ptrdiff_t)i * p->out_c + co];
    const int inside = ky >= win.ky_begin && ky < win.ky_end &&
                       kx >= win.kx_begin && kx < win.kx_end;
    const int32_t from = inside ? ft_x_index(p, &win, ky, kx) + first : 0;
    if (!inside || g == 0) continue;
    if (c->p->is_s8)
      add_run(c->x, from, in_per_group, p->x_zero_point, g, 1, acc);
    else
      add_run(c->x, from, in_per_group, 0, g, 0, acc);
  }
}

void ft_bfp_conv2d_weight_grad_c99(const void* params, const ft_args* args) {
  const ft_bfp_conv2d_params* p = (const ft_bfp_conv2d_params*)params;
  const ft_conv_params* conv = &p->conv;
  const int32_t* x_exp = (const int32_t*)args->in[3];
  const int32_t* dy_exp = (const int32_t*)args->in[2];
  context c;
  int32_t shift;
  c.p = p;
  c.x = args->in[0];
  c.dy = (const int16_t*)args->in[1];
  shift = ft_bfp_rows(fill_row, &c, conv->out_c * conv->k_h * conv->k_w,
                      conv->in_c / conv->groups, (int64_t*)args->scratch,
                      (int32_t*)args->in[4], (int16_t*)args->out[0]);
  *(int32_t*)args->out[1] = ft_clamp_exponent((int64_t)(x_exp ? *x_exp : 0) +
                                              *dy_exp + shift + p->exponent);
}
