/* The window of one output pixel as one run of bytes, for rows of
 * microcontrollers: outside of the image it holds x's zero point. */
#ifndef FT_KERNELS_CONV2D_IM2COL_S8_H_
#define FT_KERNELS_CONV2D_IM2COL_S8_H_

#include <string.h>

#include "kernels/conv2d/conv_params.h"

/* The window is one run of the image as it is. */
static inline int ft_is_pointwise(const ft_conv_params* p) {
  return p->k_h == 1 && p->k_w == 1 && p->pad_top == 0 && p->pad_left == 0;
}

/* One group. `to` holds k_h * k_w * in_c bytes. */
static inline void ft_im2col_s8(const ft_conv_params* p, const int8_t* x,
                                const ft_cursor* at, int8_t* to) {
  const ft_window win = ft_cursor_window(p, at);
  const int32_t whole =
      (win.ky_end - win.ky_begin) * (win.kx_end - win.kx_begin);
  const int32_t step = ft_run_columns(p, &win);
  int32_t ky, kx;
  if (whole != p->k_h * p->k_w)
    memset(to, p->x_zero_point, (size_t)(p->k_h * p->k_w * p->in_c));
  for (ky = win.ky_begin; ky < win.ky_end; ++ky)
    for (kx = win.kx_begin; kx < win.kx_end; kx += step)
      memcpy(to + (ky * p->k_w + kx) * p->in_c, x + ft_x_index(p, &win, ky, kx),
             (size_t)(step * p->in_c));
}

#endif /* FT_KERNELS_CONV2D_IM2COL_S8_H_ */
