/* int8 convolution and fully connected layer as deployed (TensorFlow Lite's
 * reference arithmetic), with an adapter's low-rank side in integers.
 *
 * in:  x int8 [n, in_h, in_w, in_c], w int8 [out_c, k_h, k_w, in_c / groups],
 *      bias? int32 [out_c], h? int16 [pixels of y, r], h_exp? [1],
 *      lora_b? int16 [out_c, r], lora_b_exp? [1], gain? int16 [out_c],
 *      gain_exp? [1]
 * aux: multiplier [out_c], shift [out_c]; side_multiplier [out_c] and
 *      side_exponent [out_c], from the unit of h b to that of the accumulator
 * out: y int8 [n, out_h, out_w, out_c]
 * Scratch: int32 [out_c], int16 [k_h, k_w, in_c / groups].
 * The sum of h b is scaled, rounded half away from zero and added before
 * requantization; the gain multiplies that sum, with the bias in it or, unless
 * conv.gain_bias, without. */
#ifndef FT_KERNELS_BFP_SIDE_CONV2D_H_
#define FT_KERNELS_BFP_SIDE_CONV2D_H_

#include "kernels/conv2d/conv_params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  ft_conv_params conv;
  int32_t round_once; /* as LiteRT's fully connected layers do */
  /* of the gain's mantissas, besides their own exponent */
  int32_t gain_multiplier, gain_exponent;
} ft_bfp_side_conv2d_params;

void ft_bfp_side_conv2d_c99(const void* params, const ft_args* args);
void ft_bfp_side_conv2d_armdsp(const void* params, const ft_args* args);
void ft_bfp_side_conv2d_avx512vnni(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_SIDE_CONV2D_H_ */
