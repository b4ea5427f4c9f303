/* The taps of one output pixel as pointers, so that rows of microcontrollers
 * treat the border like the middle: outside of the image they point to zero
 * points. */
#ifndef FT_KERNELS_DEPTHWISE_CONV2D_TAP_ROWS_H_
#define FT_KERNELS_DEPTHWISE_CONV2D_TAP_ROWS_H_

#include "kernels/conv2d/conv_params.h"

/* rows[ky * k_w + kx]: the in_c channels of x under that kernel element. */
static inline void ft_tap_rows(const ft_conv_params* p, const int8_t* x,
                               const ft_cursor* at, const int8_t* outside,
                               const int8_t** rows) {
  const ft_window win = ft_cursor_window(p, at);
  const int32_t step = p->dilation_w * p->in_c;
  int32_t ky, kx;
  for (ky = 0; ky < p->k_h; ++ky, rows += p->k_w) {
    const int inside = ky >= win.ky_begin && ky < win.ky_end;
    const int32_t begin = inside ? win.kx_begin : p->k_w;
    const int32_t end = inside ? win.kx_end : p->k_w;
    const int8_t* row = outside;
    if (begin < end) row = x + ft_x_index(p, &win, ky, begin);
    for (kx = 0; kx < begin; ++kx) rows[kx] = outside;
    for (; kx < end; ++kx, row += step) rows[kx] = row;
    for (; kx < p->k_w; ++kx) rows[kx] = outside;
  }
}

#endif /* FT_KERNELS_DEPTHWISE_CONV2D_TAP_ROWS_H_ */
