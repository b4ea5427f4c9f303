/* Average and maximum over windows of an NHWC image, and their gradients.
 * Padding takes no part: neither in the maximum nor in the average's count.
 * Every window must touch the image.
 *
 * avg_pool2d:      in x [n, h, w, c]           out y [n, oh, ow, c]
 * max_pool2d:      the same
 * avg_pool2d_grad: in dy [n, oh, ow, c]        out dx [n, h, w, c]
 * max_pool2d_grad: in dy, x (float or int8), y (as x)   out dx; the first
 *                  maximum of a window gets its gradient */
#ifndef FT_KERNELS_POOL2D_H_
#define FT_KERNELS_POOL2D_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t n, h, w, c;
  int32_t oh, ow;
  int32_t filter_h, filter_w, stride_h, stride_w;
  int32_t pad_top, pad_left;
  int32_t act;              /* FT_ACT_*, of float outputs */
  int32_t act_min, act_max; /* of int8 outputs */
} ft_pool2d_params;

/* Rows and columns of the image under one window: [y0, y1) x [x0, x1). */
typedef struct {
  int32_t y0, y1, x0, x1;
} ft_pool2d_window;

static inline ft_pool2d_window ft_pool2d_window_at(const ft_pool2d_params* p,
                                                   int32_t oy, int32_t ox) {
  ft_pool2d_window win;
  win.y0 = oy * p->stride_h - p->pad_top;
  win.x0 = ox * p->stride_w - p->pad_left;
  win.y1 = win.y0 + p->filter_h < p->h ? win.y0 + p->filter_h : p->h;
  win.x1 = win.x0 + p->filter_w < p->w ? win.x0 + p->filter_w : p->w;
  if (win.y0 < 0) win.y0 = 0;
  if (win.x0 < 0) win.x0 = 0;
  return win;
}

void ft_avg_pool2d_f32_c99(const void* params, const ft_args* args);
void ft_avg_pool2d_f64_c99(const void* params, const ft_args* args);
void ft_avg_pool2d_s8_c99(const void* params, const ft_args* args);
/* Windows of which sums are exact as floats. */
int ft_avg_pool2d_s8_hwy_accepts(const ft_pool2d_params* p);
void ft_avg_pool2d_s8_hwy(const void* params, const ft_args* args);
void ft_avg_pool2d_grad_f32_c99(const void* params, const ft_args* args);
void ft_avg_pool2d_grad_f64_c99(const void* params, const ft_args* args);
void ft_max_pool2d_f32_c99(const void* params, const ft_args* args);
void ft_max_pool2d_f64_c99(const void* params, const ft_args* args);
void ft_max_pool2d_s8_c99(const void* params, const ft_args* args);
void ft_max_pool2d_grad_f32_c99(const void* params, const ft_args* args);
void ft_max_pool2d_grad_f64_c99(const void* params, const ft_args* args);
void ft_max_pool2d_grad_f32s8_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_POOL2D_H_ */
