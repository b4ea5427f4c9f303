/* Loops of the gradient of a gain. The includer defines FT_FN (symbol), FT_X
 * and FT_W (element types of x and w), FT_BIAS (of bias), FT_SUM (type of a sum
 * of products), FT_X_AT(v) (x minus its zero point) and FT_SUM_AT(sum, co) (a
 * sum and the bias of output co as a real number). */
#include "kernels/gain_grad/gain_grad.h"
#include "kernels/real.h"

/* Adds x * w_delta to `side`, both without x's scale. */
static FT_SUM dot_at(const ft_gain_grad_params* p, const ft_window* win,
                     const FT_X* x, const FT_W* w, const ft_real* delta,
                     int32_t co, ft_real* side) {
  const ft_conv_params* c = &p->conv;
  const int32_t run = c->in_c / c->groups;
  const int32_t first = co / (c->out_c / c->groups) * run;
  FT_SUM sum = 0;
  int32_t ky, kx, i;
  for (ky = win->ky_begin; ky < win->ky_end; ++ky) {
    for (kx = win->kx_begin; kx < win->kx_end; ++kx) {
      const int32_t tap = ky * c->k_w + kx;
      const FT_X* xs = x + ft_x_index(c, win, ky, kx) + first;
      const FT_W* ws = w + co * p->w_out_step + tap * p->w_tap_step;
      for (i = 0; i < run; ++i) sum += FT_X_AT(xs[i]) * ws[i];
      if (delta) *side += (ft_real)FT_X_AT(xs[0]) * delta[tap * c->out_c + co];
    }
  }
  return sum;
}

void FT_FN(const void* params, const ft_args* args) {
  const ft_gain_grad_params* p = (const ft_gain_grad_params*)params;
  const ft_conv_params* c = &p->conv;
  const FT_X* x = (const FT_X*)args->in[0];
  const FT_W* w = (const FT_W*)args->in[1];
  const ft_real* dy = (const ft_real*)args->in[2];
  const FT_BIAS* bias = (const FT_BIAS*)args->in[3];
  const ft_real* h = (const ft_real*)args->in[4];
  const ft_real* lora_b = (const ft_real*)args->in[5];
  const ft_real* delta = (const ft_real*)args->in[6];
  ft_real* dgain = (ft_real*)args->out[0];
  const int32_t pixels = ft_num_pixels(c);
  int32_t pixel, co, l;
  for (co = 0; co < c->out_c; ++co) dgain[co] = 0;
  for (pixel = 0; pixel < pixels; ++pixel, dy += c->out_c) {
    const ft_window win = ft_window_of(c, pixel);
    for (co = 0; co < c->out_c; ++co) {
      ft_real side = 0, low_rank = 0, v;
      FT_SUM sum;
      if (dy[co] == 0) continue;
      sum = dot_at(p, &win, x, w, delta, co, &side);
      v = FT_SUM_AT(sum, co);
      v += side * (ft_real)c->x_scale;
      for (l = 0; l < c->rank; ++l)
        low_rank += h[pixel * c->rank + l] * lora_b[co * c->rank + l];
      v += (ft_real)c->lora_scaling * low_rank;
      dgain[co] += dy[co] * v;
    }
  }
}
