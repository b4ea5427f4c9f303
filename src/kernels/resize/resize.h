/* Images of another size, and their gradients. Bilinear only: nearest is a
 * table read (kernels/strided), except for its gradient.
 *
 * resize:      in x [n, h, w, c]     out y [n, oh, ow, c]
 * resize_grad: in dy [n, oh, ow, c]  out dx [n, h, w, c]
 *              aux[0] (nearest): source rows [oh], then columns [ow], int32
 * Output pixel i lies at input position i * scale, or with half_pixel at
 * (i + 0.5) * scale - 0.5. */
#ifndef FT_KERNELS_RESIZE_H_
#define FT_KERNELS_RESIZE_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t n, h, w, c;
  int32_t oh, ow;
  int32_t half_pixel, nearest;
  int32_t align_h, align_w;       /* 1: corners lie on corners */
  int32_t scale_h_10, scale_w_10; /* scales in 10-bit fixed point, int8 */
} ft_resize_params;

void ft_resize_f32_c99(const void* params, const ft_args* args);
void ft_resize_f64_c99(const void* params, const ft_args* args);
void ft_resize_s8_c99(const void* params, const ft_args* args);
void ft_resize_grad_f32_c99(const void* params, const ft_args* args);
void ft_resize_grad_f64_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_RESIZE_H_ */
