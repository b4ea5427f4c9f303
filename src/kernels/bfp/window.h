/* The window of an output pixel as one run of int16, in the order of a weight's
 * row: what every output channel's sum reads. */
#ifndef FT_KERNELS_BFP_WINDOW_H_
#define FT_KERNELS_BFP_WINDOW_H_

#include "kernels/conv2d/conv_params.h"

/* Elements of one output channel's weights. */
static inline int32_t ft_window_size(const ft_conv_params* p) {
  return p->k_h * p->k_w * (p->in_c / p->groups);
}

static inline void ft_copy_run_s8(const int8_t* x, int32_t count, int16_t zero,
                                  int16_t* FT_RESTRICT to) {
  int32_t i;
  for (i = 0; i < count; ++i) to[i] = (int16_t)(x[i] - zero);
}

static inline void ft_zero_run(int32_t count, int16_t* to) {
  int32_t i;
  for (i = 0; i < count; ++i) to[i] = 0;
}

/* x minus its zero point under the window, channels of `group`; 0 outside of
 * the image. */
static inline void ft_gather_window_s8(const ft_conv_params* p,
                                       const ft_window* win, const int8_t* x,
                                       int32_t group, int16_t* to) {
  const int32_t run = p->in_c / p->groups, row = p->k_w * run;
  const int32_t step = ft_run_columns(p, win);
  const int32_t before = win->kx_begin * run;
  const int16_t zero = (int16_t)p->x_zero_point;
  int32_t ky, kx;
  for (ky = 0; ky < p->k_h; ++ky, to += row) {
    if (ky < win->ky_begin || ky >= win->ky_end) {
      ft_zero_run(row, to);
      continue;
    }
    ft_zero_run(before, to);
    for (kx = win->kx_begin; kx < win->kx_end; kx += step)
      ft_copy_run_s8(x + ft_x_index(p, win, ky, kx) + group * run, step * run,
                     zero, to + kx * run);
    ft_zero_run(row - win->kx_end * run, to + win->kx_end * run);
  }
}

/* Exact for up to 2^16 factors of 9 and 8 bits. */
static inline int32_t ft_dot_s16s8(const int16_t* x, const int8_t* w,
                                   int32_t count) {
  int32_t sum = 0, i;
  for (i = 0; i < count; ++i) sum += x[i] * (int16_t)w[i];
  return sum;
}

/* Factors of 9 and 16 bits: 256 products fit 32 bits. */
static inline int64_t ft_dot_s9s16(const int16_t* x, const int16_t* w,
                                   int32_t count) {
  int64_t sum = 0;
  int32_t first, i;
  for (first = 0; first < count; first += 256) {
    const int32_t end = count - first < 256 ? count : first + 256;
    int32_t part = 0;
    for (i = first; i < end; ++i) part += x[i] * w[i];
    sum += part;
  }
  return sum;
}

#endif /* FT_KERNELS_BFP_WINDOW_H_ */
