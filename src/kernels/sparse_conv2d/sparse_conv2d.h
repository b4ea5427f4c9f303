/* A convolution with few weights, each at a place of its own, and its
 * gradients: what a sparse update adds beside a frozen layer.
 *
 * A weight e stands in output row `row` and tap `tap` = (ky * k_w + kx) * in_c
 * + channel of the kernel; places [entries, 2] int32 holds (row, tap) of each.
 * An index out of range reads its nearest end. A dense layer is an image of one
 * pixel a row.
 *
 * sparse_conv2d
 *   in:  x [n, in_h, in_w, in_c] float or int8, values [entries] float, places
 *   out: y [n, out_h, out_w, rows]
 * sparse_conv2d_values_grad
 *   in:  x, dy [n, out_h, out_w, rows], places; out: dvalues [entries]
 * sparse_conv2d_input_grad
 *   in:  dy, values, places; out: dx [n, in_h, in_w, in_c]
 *
 * Sums run over the entries in order (values_grad: n, out_h, out_w), from 0, in
 * units of x; the scale of an int8 x comes last. Cost: entries, not weights,
 * for each output pixel. */
#ifndef FT_KERNELS_SPARSE_CONV2D_SPARSE_CONV2D_H_
#define FT_KERNELS_SPARSE_CONV2D_SPARSE_CONV2D_H_

#include "kernels/conv2d/conv_params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  ft_conv_params conv; /* out_c is rows */
  int32_t entries;
} ft_sparse_conv2d_params;
typedef ft_sparse_conv2d_params ft_sparse_conv2d_values_grad_params;
typedef ft_sparse_conv2d_params ft_sparse_conv2d_input_grad_params;

void ft_sparse_conv2d_f32_c99(const void* params, const ft_args* args);
void ft_sparse_conv2d_f64_c99(const void* params, const ft_args* args);
void ft_sparse_conv2d_s8f32_c99(const void* params, const ft_args* args);
void ft_sparse_conv2d_values_grad_f32_c99(const void* params,
                                          const ft_args* args);
void ft_sparse_conv2d_values_grad_f64_c99(const void* params,
                                          const ft_args* args);
void ft_sparse_conv2d_values_grad_s8f32_c99(const void* params,
                                            const ft_args* args);
void ft_sparse_conv2d_input_grad_f32_c99(const void* params,
                                         const ft_args* args);
void ft_sparse_conv2d_input_grad_f64_c99(const void* params,
                                         const ft_args* args);

/* Where one entry reads and writes: output pixels [y_begin, y_end) x [x_begin,
 * x_end) meet the image, at row oy * stride_h + y0, column ox * stride_w + x0.
 */
typedef struct {
  int32_t row, channel, y0, x0;
  int32_t y_begin, y_end, x_begin, x_end;
} ft_sparse_entry;

static inline int32_t ft_sparse_index(int32_t i, int32_t size) {
  return i < 0 ? 0 : (i < size ? i : size - 1);
}

static inline ft_sparse_entry ft_sparse_entry_at(const ft_conv_params* p,
                                                 const int32_t* place) {
  const int32_t tap = ft_sparse_index(place[1], p->k_h * p->k_w * p->in_c);
  const int32_t pixel = tap / p->in_c;
  ft_sparse_entry e;
  e.row = ft_sparse_index(place[0], p->out_c);
  e.channel = tap % p->in_c;
  e.y0 = pixel / p->k_w * p->dilation_h - p->pad_top;
  e.x0 = pixel % p->k_w * p->dilation_w - p->pad_left;
  ft_valid_range(e.y0, p->stride_h, p->out_h, p->in_h, &e.y_begin, &e.y_end);
  ft_valid_range(e.x0, p->stride_w, p->out_w, p->in_w, &e.x_begin, &e.x_end);
  return e;
}

/* Index of the entry's element in image row oy of image n, column 0. */
static inline int32_t ft_sparse_x(const ft_conv_params* p,
                                  const ft_sparse_entry* e, int32_t n,
                                  int32_t oy) {
  const int32_t y = oy * p->stride_h + e->y0;
  return (n * p->in_h + y) * p->in_w * p->in_c + e->channel;
}
static inline int32_t ft_sparse_column(const ft_conv_params* p,
                                       const ft_sparse_entry* e, int32_t ox) {
  return (ox * p->stride_w + e->x0) * p->in_c;
}
/* Index of the entry's element of y in output row oy of image n, column 0. */
static inline int32_t ft_sparse_y(const ft_conv_params* p,
                                  const ft_sparse_entry* e, int32_t n,
                                  int32_t oy) {
  return (n * p->out_h + oy) * p->out_w * p->out_c + e->row;
}

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_SPARSE_CONV2D_SPARSE_CONV2D_H_ */
