/* The sum of an int8 convolution before bias and requantization.
 * Integer training forms the same one from a window (bfp/window.h). */
#ifndef FT_KERNELS_DOT_S8_H_
#define FT_KERNELS_DOT_S8_H_

#include "kernels/conv2d/conv_params.h"

/* Of output channel `co` at the window `win` of one image. */
static inline int32_t ft_dot_s8_at(const ft_conv_params* p,
                                   const ft_window* win, const int8_t* x,
                                   const int8_t* w, int32_t co) {
  const int32_t in_per_group = p->in_c / p->groups;
  const int32_t group = co / (p->out_c / p->groups);
  const int32_t step = ft_run_columns(p, win), run = step * in_per_group;
  const int16_t zero_point = (int16_t)p->x_zero_point;
  int32_t sum = 0, ky, kx, i;
  for (ky = win->ky_begin; ky < win->ky_end; ++ky) {
    for (kx = win->kx_begin; kx < win->kx_end; kx += step) {
      const int8_t* xs = x + ft_x_index(p, win, ky, kx) + group * in_per_group;
      const int8_t* ws = w + ((co * p->k_h + ky) * p->k_w + kx) * in_per_group;
      /* 16-bit factors: compilers have an instruction for two at a time. */
      for (i = 0; i < run; ++i)
        sum += (int16_t)(xs[i] - zero_point) * (int16_t)ws[i];
    }
  }
  return sum;
}

#endif /* FT_KERNELS_DOT_S8_H_ */
