/* sparse_conv2d and its gradients (sparse_conv2d/sparse_conv2d.h) on block
 * floating point (bfp/bfp.h). An exponent of the result is the sum of the
 * operands', the shift of the sums and `exponent`.
 *
 * bfp_sparse_conv2d
 *   in:  x int8 or int16 [n, in_h, in_w, in_c], values int16 [entries],
 *        values_exp [1], places int32 [entries, 2], x_exp? [1] (int16 x)
 *   out: y int16 [n, out_h, out_w, rows], y_exp [1]
 * bfp_sparse_conv2d_values_grad
 *   in:  x, dy int16, dy_exp, places, x_exp?, predicted? [1]
 *   out: dvalues int16 [entries], dvalues_exp
 * bfp_sparse_conv2d_input_grad
 *   in:  dy, dy_exp, values, values_exp, places, predicted?
 *   out: dx int16 [n, in_h, in_w, in_c], dx_exp
 * Scratch: int64 for an image row of the output (values_grad: one). */
#ifndef FT_KERNELS_BFP_SPARSE_CONV2D_H_
#define FT_KERNELS_BFP_SPARSE_CONV2D_H_

#include "kernels/sparse_conv2d/sparse_conv2d.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  ft_sparse_conv2d_params sparse;
  int32_t exponent; /* of the operands' factors */
  int32_t is_s8;    /* x */
} ft_bfp_sparse_conv2d_params;

void ft_bfp_sparse_conv2d_c99(const void* params, const ft_args* args);
void ft_bfp_sparse_conv2d_values_grad_c99(const void* params,
                                          const ft_args* args);
void ft_bfp_sparse_conv2d_input_grad_c99(const void* params,
                                         const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_SPARSE_CONV2D_H_ */
