/* Gradient of the gain of an int8 layer, in integers (gain_grad/gain_grad.h has
 * the formula): the layer's accumulators before the gain are formed again and
 * meet dy; pixels where dy is 0 are skipped.
 *
 * in:  x int8 [n, in_h, in_w, in_c], w int8, element (out c, tap t, in i) at
 *      c * w_out_step + t * w_tap_step + i, dy int16 [n, out_h, out_w, out_c],
 *      dy_exp [1], bias? int32 [out_c] (only where the gain applies to it),
 *      h? int16 [pixels, r], h_exp? [1], lora_b? int16 [out_c, r],
 *      lora_b_exp? [1], w_delta? int16 [1, k_h, k_w, out_c] (depthwise),
 *      w_delta_exp? [1], predicted? [1]
 * aux: Q15 share of each of out_c accumulators' scale in the largest; with a
 *      side: side_multiplier [out_c] and side_exponent [out_c], from its unit
 *      (h b, or (x - zero point) w_delta) to the accumulator's
 * out: dgain int16 [out_c], dgain_exp [1]
 * Scratch: int64 [out_c]. At most 2^16 pixels. */
#ifndef FT_KERNELS_BFP_GAIN_GRAD_H_
#define FT_KERNELS_BFP_GAIN_GRAD_H_

#include "kernels/conv2d/conv_params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  ft_conv_params conv; /* a dense layer: 1 x 1 images, 1 x 1 kernel */
  int32_t w_out_step, w_tap_step;
  int32_t exponent; /* of the operands' factors, added to dgain_exp */
} ft_bfp_gain_grad_params;

void ft_bfp_gain_grad_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_GAIN_GRAD_H_ */
