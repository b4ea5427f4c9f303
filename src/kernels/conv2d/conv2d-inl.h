/* Forward loops of a float output. The includer defines FT_FN (symbol), FT_X
 * (element type of x) and FT_X_AT(v) (x minus its zero point, as ft_real). */
#include "kernels/conv2d/conv2d.h"
#include "kernels/real.h"

static ft_real dot_at(const ft_conv_params* p, const ft_window* win,
                      const FT_X* x, const ft_real* w, int32_t co) {
  const int32_t in_per_group = p->in_c / p->groups;
  const int32_t group = co / (p->out_c / p->groups);
  const int32_t step = ft_run_columns(p, win), run = step * in_per_group;
  ft_real sum = 0;
  int32_t ky, kx, i;
  for (ky = win->ky_begin; ky < win->ky_end; ++ky) {
    for (kx = win->kx_begin; kx < win->kx_end; kx += step) {
      const FT_X* xs = x + ft_x_index(p, win, ky, kx) + group * in_per_group;
      const ft_real* ws = w + ((co * p->k_h + ky) * p->k_w + kx) * in_per_group;
      for (i = 0; i < run; ++i) sum += FT_X_AT(xs[i]) * ws[i];
    }
  }
  return sum;
}

void FT_FN(const void* params, const ft_args* args) {
  const ft_conv_params* p = (const ft_conv_params*)params;
  const FT_X* x = (const FT_X*)args->in[0];
  const ft_real* w = (const ft_real*)args->in[1];
  const ft_real* bias = (const ft_real*)args->in[2];
  const ft_real* h = (const ft_real*)args->in[3];
  const ft_real* lora_b = (const ft_real*)args->in[4];
  const ft_real* gain = (const ft_real*)args->in[5];
  const int bias_inside = !gain || p->gain_bias;
  const ft_part part = ft_part_of(args, ft_num_pixels(p));
  ft_real* y = (ft_real*)args->out[0] + part.first * p->out_c;
  int32_t pixel, co, i;
  for (pixel = part.first; pixel < part.end; ++pixel) {
    const ft_window win = ft_window_of(p, pixel);
    for (co = 0; co < p->out_c; ++co) {
      ft_real v = dot_at(p, &win, x, w, co) * (ft_real)p->x_scale;
      if (bias && bias_inside) v += bias[co];
      if (p->rank > 0) {
        ft_real side = 0;
        for (i = 0; i < p->rank; ++i)
          side += h[pixel * p->rank + i] * lora_b[co * p->rank + i];
        v += (ft_real)p->lora_scaling * side;
      }
      if (gain) v *= gain[co];
      if (bias && !bias_inside) v += bias[co];
      *y++ = ft_apply_act(v, p->act);
    }
  }
}
