/* See bfp/row.h. */
#include "kernels/bfp/bfp.h"
#include "kernels/bfp/row.h"
#include "kernels/bfp/window.h"
#include "kernels/bfp_conv2d/bfp_conv2d.h"

typedef struct {
  const ft_bfp_conv2d_params* p;
  const void* x;
  const int16_t *w, *bias;
  int16_t* window; /* of an int8 x */
  int32_t bias_multiplier, bias_exponent;
} context;

static int64_t dot_s16(const int16_t* x, const int16_t* w, int32_t count) {
  int64_t sum = 0;
  int32_t i;
  for (i = 0; i < count; ++i) sum += x[i] * w[i];
  return sum;
}

static int64_t dot_at(const ft_conv_params* p, const ft_window* win,
                      const int16_t* x, const int16_t* w, int32_t co) {
  const int32_t in_per_group = p->in_c / p->groups;
  const int32_t group = co / (p->out_c / p->groups);
  const int32_t step = ft_run_columns(p, win), run = step * in_per_group;
  int64_t sum = 0;
  int32_t ky, kx;
  for (ky = win->ky_begin; ky < win->ky_end; ++ky) {
    for (kx = win->kx_begin; kx < win->kx_end; kx += step)
      sum +=
          dot_s16(x + ft_x_index(p, win, ky, kx) + group * in_per_group,
                  w + ((co * p->k_h + ky) * p->k_w + kx) * in_per_group, run);
  }
  return sum;
}

/* Sums of `count` output channels whose window is gathered. */
static void add_rows(const int16_t* x, const int16_t* w, int32_t size,
                     int32_t count, int64_t* acc) {
  int32_t co = 0, first;
  for (; co + 4 <= count; co += 4, w += 4 * size) {
    acc[co] = acc[co + 1] = acc[co + 2] = acc[co + 3] = 0;
    for (first = 0; first < size; first += FT_S9S16_TERMS) {
      const int32_t left = size - first;
      ft_dot4_s9s16(x + first, w + first, size,
                    left < FT_S9S16_TERMS ? left : FT_S9S16_TERMS, acc + co);
    }
  }
  for (; co < count; ++co, w += size) acc[co] = ft_dot_s9s16(x, w, size);
}

static void fill_row(const void* ctx, int32_t pixel, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_conv_params* p = &c->p->conv;
  const ft_window win = ft_window_of(p, pixel);
  const int32_t out_per_group = p->out_c / p->groups;
  const int32_t size = ft_window_size(p);
  int32_t group, co;
  for (group = 0; c->p->is_s8 && group < p->groups; ++group) {
    const int32_t first = group * out_per_group;
    ft_gather_window_s8(p, &win, (const int8_t*)c->x, group, c->window);
    add_rows(c->window, c->w + first * size, size, out_per_group, acc + first);
  }
  for (co = 0; !c->p->is_s8 && co < p->out_c; ++co)
    acc[co] = dot_at(p, &win, (const int16_t*)c->x, c->w, co);
  for (co = 0; c->bias && co < p->out_c; ++co)
    acc[co] += ft_bfp_scale(c->bias[co], c->bias_multiplier, c->bias_exponent);
}

void FT_BFP_ROW(ft_bfp_conv2d)(const void* params, const ft_args* args) {
  const ft_bfp_conv2d_params* p = (const ft_bfp_conv2d_params*)params;
  const int32_t* x_exp = (const int32_t*)args->in[3];
  const int32_t* w_exp = (const int32_t*)args->in[2];
  const int32_t* bias_exp = (const int32_t*)args->in[5];
  const int64_t unit = (int64_t)(x_exp ? *x_exp : 0) + *w_exp;
  context c;
  c.p = p;
  c.x = args->in[0];
  c.window = (int16_t*)((int64_t*)args->scratch + p->conv.out_c);
  c.w = (const int16_t*)args->in[1];
  c.bias = (const int16_t*)args->in[4];
  c.bias_multiplier = c.bias_exponent = 0;
  if (c.bias) {
    c.bias_multiplier = ((const int32_t*)args->aux[0])[0];
    c.bias_exponent = ft_clamp_exponent(((const int32_t*)args->aux[0])[1] +
                                        (int64_t)*bias_exp - unit);
  }
  ft_bfp_rows(fill_row, &c, ft_num_pixels(&p->conv), p->conv.out_c,
              (int64_t*)args->scratch, NULL, unit + p->exponent, args);
}
