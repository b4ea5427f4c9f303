/* Which pixels of dy a pixel of dx is made of. */
#ifndef FT_KERNELS_BFP_CONV2D_GRADIENT_PIXEL_H_
#define FT_KERNELS_BFP_CONV2D_GRADIENT_PIXEL_H_

#include "kernels/bfp_conv2d/bfp_conv2d.h"

typedef struct {
  int32_t image, iy, ix;
} ft_gradient_place;

static inline ft_gradient_place ft_gradient_place_of(const ft_conv_params* p,
                                                     int32_t pixel) {
  const int32_t row = pixel / p->in_w;
  ft_gradient_place at;
  at.ix = pixel - row * p->in_w;
  at.image = row / p->in_h;
  at.iy = row - at.image * p->in_h;
  return at;
}

/* The pixel of dy that kernel element (ky, kx) multiplies; NULL: none. */
static inline const int16_t* ft_gradient_pixel(const ft_conv_params* p,
                                               const int16_t* dy,
                                               const ft_gradient_place* at,
                                               int32_t ky, int32_t kx) {
  const int32_t oy = ft_gradient_source(at->iy, p->pad_top, ky, p->dilation_h,
                                        p->stride_h, p->out_h);
  const int32_t ox = ft_gradient_source(at->ix, p->pad_left, kx, p->dilation_w,
                                        p->stride_w, p->out_w);
  if (oy < 0 || ox < 0) return NULL;
  return dy + ((at->image * p->out_h + oy) * p->out_w + ox) * p->out_c;
}

/* to = one pixel of dy in the unit of the largest scale of int8 weights. */
static inline void ft_share_pixel(const ft_bfp_conv2d_params* p,
                                  const int16_t* FT_RESTRICT dy,
                                  const int32_t* FT_RESTRICT share,
                                  int16_t* FT_RESTRICT to) {
  const int32_t shift = 15 + p->guard, half = 1 << (shift - 1);
  const int32_t out_c = p->conv.out_c;
  int32_t co;
  for (co = 0; co < out_c; ++co)
    to[co] = (int16_t)((dy[co] * share[co] + half) >> shift);
}

#endif /* FT_KERNELS_BFP_CONV2D_GRADIENT_PIXEL_H_ */
