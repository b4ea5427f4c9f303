/* The window of an output pixel as one run of int16, in the order of a weight's
 * row: what every output channel's sum reads. */
#ifndef FT_KERNELS_BFP_WINDOW_H_
#define FT_KERNELS_BFP_WINDOW_H_

#include "kernels/conv2d/conv_params.h"

/* Elements of one output channel's weights. */
static inline int32_t ft_window_size(const ft_conv_params* p) {
  return p->k_h * p->k_w * (p->in_c / p->groups);
}

/* to = x - zero. */
static inline void ft_copy_run_s8(const int8_t* x, int32_t count, int16_t zero,
                                  int16_t* FT_RESTRICT to) {
  int32_t i = 0;
#ifdef FT_BFP_ARMDSP
  i = ft_dsp_copy_s8(x, count, zero, to);
#endif
  for (; i < count; ++i) to[i] = (int16_t)(x[i] - zero);
}

static inline void ft_zero_run(int32_t count, int16_t* to) {
  int32_t i;
  for (i = 0; i < count; ++i) to[i] = 0;
}

/* x minus its zero point under kernel row ky, which meets the image; 0 outside
 * of it. */
static inline void ft_gather_row_s8(const ft_conv_params* p,
                                    const ft_window* win, const int8_t* x,
                                    int32_t group, int32_t ky, int16_t* to) {
  const int32_t run = p->in_c / p->groups;
  const int32_t step = ft_run_columns(p, win);
  const int16_t zero = (int16_t)p->x_zero_point;
  int32_t kx;
  ft_zero_run(win->kx_begin * run, to);
  for (kx = win->kx_begin; kx < win->kx_end; kx += step)
    ft_copy_run_s8(x + ft_x_index(p, win, ky, kx) + group * run, step * run,
                   zero, to + kx * run);
  ft_zero_run((p->k_w - win->kx_end) * run, to + win->kx_end * run);
}

/* x minus its zero point under the window, channels of `group`; 0 outside of
 * the image. */
static inline void ft_gather_window_s8(const ft_conv_params* p,
                                       const ft_window* win, const int8_t* x,
                                       int32_t group, int16_t* to) {
  const int32_t row = p->k_w * (p->in_c / p->groups);
  int32_t ky;
  for (ky = 0; ky < p->k_h; ++ky, to += row) {
    if (ky < win->ky_begin || ky >= win->ky_end)
      ft_zero_run(row, to);
    else
      ft_gather_row_s8(p, win, x, group, ky, to);
  }
}

/* Exact for up to 2^16 factors of 9 and 8 bits. */
static inline int32_t ft_dot_s16s8(const int16_t* x, const int8_t* w,
                                   int32_t count) {
  int32_t sum = 0, i;
  for (i = 0; i < count; ++i) sum += x[i] * (int16_t)w[i];
  return sum;
}

/* Factors of 9 and 16 bits: so many products fit 32 bits. */
enum { FT_S9S16_TERMS = 256 };

static inline int64_t ft_dot_s9s16(const int16_t* x, const int16_t* w,
                                   int32_t count) {
  int64_t sum = 0;
  int32_t first, i;
  for (first = 0; first < count; first += FT_S9S16_TERMS) {
    const int32_t left = count - first;
    const int32_t end = left < FT_S9S16_TERMS ? count : first + FT_S9S16_TERMS;
    int32_t part = 0;
    for (i = first; i < end; ++i) part += x[i] * w[i];
    sum += part;
  }
  return sum;
}

/* sum += the products with four rows of w, `step` apart; `count` of at most
 * FT_S9S16_TERMS. */
static inline void ft_dot4_s9s16(const int16_t* x, const int16_t* w,
                                 int32_t step, int32_t count, int64_t* sum) {
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, i = 0;
#ifdef FT_BFP_ARMDSP
  int32_t s[4] = {0, 0, 0, 0};
  if (step % 2 == 0) i = ft_dsp_dot4(x, w, step, count, s);
  s0 = s[0];
  s1 = s[1];
  s2 = s[2];
  s3 = s[3];
#endif
  for (; i < count; ++i) {
    s0 += x[i] * w[i];
    s1 += x[i] * w[step + i];
    s2 += x[i] * w[2 * step + i];
    s3 += x[i] * w[3 * step + i];
  }
  sum[0] += s0;
  sum[1] += s1;
  sum[2] += s2;
  sum[3] += s3;
}

#endif /* FT_KERNELS_BFP_WINDOW_H_ */
