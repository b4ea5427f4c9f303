/* Gradients of a depthwise convolution on block floating point (bfp/bfp.h).
 *
 * bfp_depthwise_conv2d_input_grad
 *   in:  dy int16 [n, out_h, out_w, out_c], dy_exp [1],
 *        w int16 [1, k_h, k_w, out_c], w_exp [1], predicted? [1]
 *   out: dx int16 [n, in_h, in_w, in_c], dx_exp [1]
 * bfp_depthwise_conv2d_weight_grad
 *   in:  x int8 or int16 [n, in_h, in_w, in_c], dy, dy_exp, x_exp? (int16 x),
 *        predicted?
 *   out: dw int16 [1, k_h, k_w, out_c], dw_exp
 * Scratch: int64 for the last dimension of the output. */
#ifndef FT_KERNELS_BFP_DEPTHWISE_CONV2D_H_
#define FT_KERNELS_BFP_DEPTHWISE_CONV2D_H_

#include "kernels/bfp_conv2d/bfp_conv2d.h"

#ifdef __cplusplus
extern "C" {
#endif

void ft_bfp_depthwise_conv2d_input_grad_c99(const void* params,
                                            const ft_args* args);
void ft_bfp_depthwise_conv2d_input_grad_armdsp(const void* params,
                                               const ft_args* args);
void ft_bfp_depthwise_conv2d_input_grad_avx512vnni(const void* params,
                                                   const ft_args* args);
void ft_bfp_depthwise_conv2d_weight_grad_c99(const void* params,
                                             const ft_args* args);
void ft_bfp_depthwise_conv2d_weight_grad_armdsp(const void* params,
                                                const ft_args* args);
void ft_bfp_depthwise_conv2d_weight_grad_avx512vnni(const void* params,
                                                    const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_DEPTHWISE_CONV2D_H_ */
