/* Transposed convolution: y[oy, ox] gathers x[iy, ix] w[ky, kx] of all kernel
 * elements with oy = iy * stride_h - pad_top + ky, likewise ox; then bias, act.
 *
 * in:  x [n, in_h, in_w, in_c], w [out_c, k_h, k_w, in_c], bias? [out_c]
 * (float; int32 for int8 x and w) aux: int8 outputs only: multiplier [out_c]
 * and shift [out_c] int32 (and 1 / (x_scale * w_scale), unused) out: y [n,
 * out_h, out_w, out_c] Sums run in the order kh, kw, cin. Parameters as
 * conv2d's, in terms of this op's x and y; dilation and groups are 1. */
#ifndef FT_KERNELS_TRANSPOSE_CONV2D_H_
#define FT_KERNELS_TRANSPOSE_CONV2D_H_

#include "kernels/conv2d/conv_params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef ft_conv_params ft_transpose_conv2d_params;

void ft_transpose_conv2d_f32_c99(const void* params, const ft_args* args);
void ft_transpose_conv2d_f64_c99(const void* params, const ft_args* args);
void ft_transpose_conv2d_s8_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_TRANSPOSE_CONV2D_H_ */
