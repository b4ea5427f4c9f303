#include "kernels/bfp/side.h"
#include "kernels/bfp_gain_grad/bfp_gain_grad.h"

typedef struct {
  const ft_bfp_gain_grad_params* p;
  const int8_t *x, *w;
  const int16_t *dy, *delta;
  const int32_t *bias, *share;
  ft_bfp_side side;
} context;

/* The accumulator of output co; the sum with w_delta is added to `side`. */
static int32_t dot_at(const context* c, const ft_window* win, int32_t co,
                      int64_t* side) {
  const ft_conv_params* p = &c->p->conv;
  const int32_t run = p->in_c / p->groups, zero = p->x_zero_point;
  const int32_t first = co / (p->out_c / p->groups) * run;
  int32_t sum = 0, ky, kx, i;
  for (ky = win->ky_begin; ky < win->ky_end; ++ky) {
    for (kx = win->kx_begin; kx < win->kx_end; ++kx) {
      const int32_t tap = ky * p->k_w + kx;
      const int8_t* xs = c->x + ft_x_index(p, win, ky, kx) + first;
      const int8_t* ws = c->w + co * c->p->w_out_step + tap * c->p->w_tap_step;
      for (i = 0; i < run; ++i) sum += (xs[i] - zero) * ws[i];
      if (c->delta) *side += (xs[0] - zero) * c->delta[tap * p->out_c + co];
    }
  }
  return sum;
}

/* What the gain of output co multiplies at one pixel. */
static int32_t before_gain(const context* c, const ft_window* win,
                           int32_t pixel, int32_t co) {
  int64_t side = 0;
  int32_t acc = dot_at(c, win, co, &side);
  if (c->bias) acc = ft_bfp_add_wrap(acc, c->bias[co]);
  if (c->side.rank > 0)
    acc = ft_bfp_add_wrap(acc, ft_bfp_side_at(&c->side, pixel, co));
  if (c->delta)
    acc = ft_bfp_add_wrap(
        acc, ft_bfp_scale(side, c->side.multiplier[co],
                          ft_clamp_exponent((int64_t)c->side.exponent +
                                            c->side.unit[co])));
  return acc;
}

/* sum * share / 2^15, |sum| < 2^62 */
static int64_t shared(int64_t sum, int32_t share) {
  const int64_t high = ft_shift_round(sum, 15);
  return high * share + ft_shift_round((sum - high * 32768) * share, 15);
}

/* The one row: all outputs. */
static void fill_row(const void* ctx, int32_t row, int64_t* acc) {
  const context* c = (const context*)ctx;
  const ft_conv_params* p = &c->p->conv;
  const int32_t pixels = ft_num_pixels(p);
  const int16_t* dy = c->dy;
  ft_cursor at = ft_cursor_at(p, row);
  int32_t i, co;
  for (co = 0; co < p->out_c; ++co) acc[co] = 0;
  for (i = 0; i < pixels; ++i, ft_cursor_next(p, &at), dy += p->out_c) {
    const ft_window win = ft_cursor_window(p, &at);
    for (co = 0; co < p->out_c; ++co)
      if (dy[co] != 0) acc[co] += (int64_t)before_gain(c, &win, i, co) * dy[co];
  }
  for (co = 0; co < p->out_c; ++co) acc[co] = shared(acc[co], c->share[co]);
}

static void set_sides(const ft_args* args, context* c) {
  const int32_t* exponents[2];
  c->delta = (const int16_t*)args->in[9];
  c->side = ft_bfp_no_side();
  if (c->p->conv.rank == 0 && !c->delta) return;
  c->side.multiplier = (const int32_t*)args->aux[1];
  c->side.unit = (const int32_t*)args->aux[2];
  if (c->delta) {
    c->side.exponent = ft_clamp_exponent(*(const int32_t*)args->in[10]);
    return;
  }
  c->side.rank = c->p->conv.rank;
  c->side.h = (const int16_t*)args->in[5];
  c->side.b = (const int16_t*)args->in[7];
  exponents[0] = (const int32_t*)args->in[6];
  exponents[1] = (const int32_t*)args->in[8];
  c->side.exponent = ft_clamp_exponent((int64_t)*exponents[0] + *exponents[1]);
}

void ft_bfp_gain_grad_c99(const void* params, const ft_args* args) {
  const ft_bfp_gain_grad_params* p = (const ft_bfp_gain_grad_params*)params;
  context c;
  c.p = p;
  c.x = (const int8_t*)args->in[0];
  c.w = (const int8_t*)args->in[1];
  c.dy = (const int16_t*)args->in[2];
  c.bias = (const int32_t*)args->in[4];
  c.share = (const int32_t*)args->aux[0];
  set_sides(args, &c);
  ft_bfp_rows(fill_row, &c, 1, p->conv.out_c, (int64_t*)args->scratch,
              (int32_t*)args->in[11],
              (int64_t) * (const int32_t*)args->in[3] + p->exponent, args);
}
