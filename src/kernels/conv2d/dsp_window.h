/* Windows of int8 pixels for the inner loops of quant/s8_armdsp.h. */
#ifndef FT_KERNELS_CONV2D_DSP_WINDOW_H_
#define FT_KERNELS_CONV2D_DSP_WINDOW_H_

#include "kernels/conv2d/im2col_s8.h"
#include "kernels/quant/s8_armdsp.h"

/* The window of one pixel, every `step`th word of `wide`; `bytes` has room for
 * it where it is not a run of whole words of the image. */
static inline void ft_dsp_window_every(const ft_conv_params* p, const int8_t* x,
                                       const ft_cursor* at, int32_t k,
                                       int8_t* bytes, int32_t* wide,
                                       int32_t step) {
  int32_t i;
  const int8_t* from = bytes;
  if (ft_is_pointwise(p) && k % 4 == 0) {
    const int32_t row = at->image * p->in_h + at->oy * p->stride_h;
    from = x + (row * p->in_w + at->ox * p->stride_w) * p->in_c;
  } else {
    ft_im2col_s8(p, x, at, bytes);
  }
  for (i = 0; i < k; i += 4) ft_dsp_widen(from + i, wide + i / 2 * step, step);
}

/* Every other word: two pixels share `wide`. */
static inline void ft_dsp_window(const ft_conv_params* p, const int8_t* x,
                                 const ft_cursor* at, int32_t k, int8_t* bytes,
                                 int32_t* wide) {
  ft_dsp_window_every(p, x, at, k, bytes, wide, 2);
}

#endif /* FT_KERNELS_CONV2D_DSP_WINDOW_H_ */
