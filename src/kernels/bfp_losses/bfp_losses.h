/* Losses and answers on block floating point (bfp/bfp.h), in integers.
 *
 * bfp_softmax_cross_entropy: mean over rows of log sum exp(x) - x[label]
 *   in:  x int16 [rows, classes], x_exp [1], labels int32 [rows]
 *   out: loss int32 [2]: mantissa and exponent
 * bfp_softmax_cross_entropy_grad: softmax(x) - one_hot(labels)
 *   in:  the same; out: dx int16, dx_exp
 * bfp_softmax: in x, x_exp; out y int16 in Q14, y_exp = -14
 * bfp_mse_loss: mean of (pred - target)^2 in squares of target's unit
 *   in:  pred int16 [count], pred_exp [1], target int32 [count], saturated at
 *        2^20; out: loss int32 [2]
 * bfp_mse_loss_grad: pred - target in target's unit
 *   in:  the same; out: dpred int16, dpred_exp
 * bfp_quantize: in x, x_exp; out q int8
 *
 * `multiplier` and `shift` (multiplier * 2^(shift - 31)) turn x's unit, but for
 * x_exp, into 1 (softmax) or into the unit of target or q. Exponentials below
 * e^-16 count as e^-16. */
#ifndef FT_KERNELS_BFP_LOSSES_H_
#define FT_KERNELS_BFP_LOSSES_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t rows, classes; /* without classes: rows = count, classes = 1 */
  int32_t multiplier, shift;
  int32_t exponent; /* added to the gradient's */
  int32_t zero_point;
} ft_bfp_loss_params;

void ft_bfp_softmax_cross_entropy_c99(const void* params, const ft_args* args);
void ft_bfp_softmax_cross_entropy_grad_c99(const void* params,
                                           const ft_args* args);
void ft_bfp_softmax_c99(const void* params, const ft_args* args);
void ft_bfp_mse_loss_c99(const void* params, const ft_args* args);
void ft_bfp_mse_loss_grad_c99(const void* params, const ft_args* args);
void ft_bfp_quantize_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_LOSSES_H_ */
