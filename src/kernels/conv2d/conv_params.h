/* Settings that all convolutions share, and the window of an output pixel.
 *
 * Layout NHWC. x [n, in_h, in_w, in_c], y [n, out_h, out_w, out_c]; padding is
 * explicit (0 at the end is implied by out_h, out_w) and reads as real 0.
 * x real = x_scale * (q - x_zero_point) where x is int8; a float x has
 * x_scale 1 and x_zero_point 0. */
#ifndef FT_KERNELS_CONV2D_CONV_PARAMS_H_
#define FT_KERNELS_CONV2D_CONV_PARAMS_H_

#include "kernels/kernel.h"

typedef struct {
  int32_t batch;
  int32_t in_h, in_w, in_c;
  int32_t out_h, out_w, out_c;
  int32_t k_h, k_w;
  int32_t stride_h, stride_w;
  int32_t dilation_h, dilation_w;
  int32_t pad_top, pad_left;
  int32_t groups;    /* depthwise: in_c */
  int32_t rank;      /* r of the low-rank side input, 0 without */
  int32_t act;       /* FT_ACT_*, float outputs */
  int32_t gain_bias; /* a gain, if given, applies to the bias too */
  int32_t x_zero_point, y_zero_point;
  int32_t q_low, q_high; /* int8 outputs are clamped to this range */
  float x_scale;
  float lora_scaling;
} ft_conv_params;

/* The part of the kernel that meets the image at one output pixel, and where:
 * kernel row ky reads image row y0 + ky * dilation_h. */
typedef struct {
  int32_t image;  /* index in the batch */
  int32_t y0, x0; /* may lie outside of the image */
  int32_t ky_begin, ky_end, kx_begin, kx_end;
} ft_window;

/* Kernel indices k with 0 <= start + k * dilation < size. */
static inline void ft_valid_range(int32_t start, int32_t dilation, int32_t k,
                                  int32_t size, int32_t* begin, int32_t* end) {
  const int32_t last = size - start; /* first k * dilation past the image */
  int32_t lo = start < 0 ? -start : 0, hi = last > 0 ? last : 0;
  if (dilation > 1) {
    lo = (lo + dilation - 1) / dilation;
    hi = (hi + dilation - 1) / dilation;
  }
  if (hi > k) hi = k;
  if (lo > hi) lo = hi;
  *begin = lo;
  *end = hi;
}

/* A walk over output pixels, [n, out_h, out_w], without a division each. */
typedef struct {
  int32_t image, oy, ox;
} ft_cursor;

static inline ft_cursor ft_cursor_at(const ft_conv_params* p, int32_t pixel) {
  const int32_t row = pixel / p->out_w;
  ft_cursor at;
  at.image = row / p->out_h;
  at.oy = row - at.image * p->out_h;
  at.ox = pixel - row * p->out_w;
  return at;
}

static inline void ft_cursor_next(const ft_conv_params* p, ft_cursor* at) {
  if (++at->ox < p->out_w) return;
  at->ox = 0;
  if (++at->oy < p->out_h) return;
  at->oy = 0;
  ++at->image;
}

static inline ft_window ft_cursor_window(const ft_conv_params* p,
                                         const ft_cursor* at) {
  ft_window win;
  win.image = at->image;
  win.y0 = at->oy * p->stride_h - p->pad_top;
  win.x0 = at->ox * p->stride_w - p->pad_left;
  ft_valid_range(win.y0, p->dilation_h, p->k_h, p->in_h, &win.ky_begin,
                 &win.ky_end);
  ft_valid_range(win.x0, p->dilation_w, p->k_w, p->in_w, &win.kx_begin,
                 &win.kx_end);
  return win;
}

/* `pixel` counts [n, out_h, out_w]. */
static inline ft_window ft_window_of(const ft_conv_params* p, int32_t pixel) {
  const ft_cursor at = ft_cursor_at(p, pixel);
  return ft_cursor_window(p, &at);
}

static inline int32_t ft_num_pixels(const ft_conv_params* p) {
  return p->batch * p->out_h * p->out_w;
}

/* Index of x's first channel under kernel element (ky, kx). */
static inline int32_t ft_x_index(const ft_conv_params* p, const ft_window* win,
                                 int32_t ky, int32_t kx) {
  const int32_t y = win->y0 + ky * p->dilation_h;
  const int32_t x = win->x0 + kx * p->dilation_w;
  return ((win->image * p->in_h + y) * p->in_w + x) * p->in_c;
}

/* One group without dilation reads a kernel row as one run: this many kernel
 * columns are contiguous in x and in w. The order kh, kw, cin stays. */
static inline int32_t ft_run_columns(const ft_conv_params* p,
                                     const ft_window* win) {
  const int32_t columns = win->kx_end - win->kx_begin;
  const int whole = p->groups == 1 && p->dilation_w == 1 && columns > 1;
  return whole ? columns : 1;
}

#endif /* FT_KERNELS_CONV2D_CONV_PARAMS_H_ */
