/* int8 depthwise convolution as deployed (TensorFlow Lite's reference
 * arithmetic), with an adapter's extra weight in integers.
 *
 * in:  x int8 [n, in_h, in_w, in_c], w int8 [1, k_h, k_w, out_c],
 *      bias? int32 [out_c], w_delta? int16 [1, k_h, k_w, out_c],
 *      w_delta_exp? [1], bias_delta? int16 [out_c], bias_delta_exp? [1],
 *      gain? int16 [out_c], gain_exp? [1]
 * aux: multiplier [out_c], shift [out_c]; side_multiplier [out_c] and
 *      side_exponent [out_c], from the unit of (x - zero point) w_delta to that
 *      of the accumulator; bias_multiplier [out_c] and bias_exponent [out_c],
 *      from the unit of bias_delta to it
 * out: y int8 [n, out_h, out_w, out_c]
 * The gain multiplies the sum, with both biases in it or, unless
 * conv.gain_bias, without. */
#ifndef FT_KERNELS_BFP_SIDE_DEPTHWISE_CONV2D_H_
#define FT_KERNELS_BFP_SIDE_DEPTHWISE_CONV2D_H_

#include "kernels/conv2d/conv_params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  ft_conv_params conv;
  /* of the gain's mantissas, besides their own exponent */
  int32_t gain_multiplier, gain_exponent;
} ft_bfp_side_depthwise_conv2d_params;

void ft_bfp_side_depthwise_conv2d_c99(const void* params, const ft_args* args);
void ft_bfp_side_depthwise_conv2d_armdsp(const void* params,
                                         const ft_args* args);
void ft_bfp_side_depthwise_conv2d_avx512vnni(const void* params,
                                             const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_SIDE_DEPTHWISE_CONV2D_H_ */
