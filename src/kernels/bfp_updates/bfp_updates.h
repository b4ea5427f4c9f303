/* Parameter updates in integers, in place; PyTorch's AdamW and SGD.
 *
 * A parameter is int16 mantissas with an int16 residual each: together a 32-bit
 * number of which the forward pass sees the upper half, rounded. A step is
 * rounded to it stochastically, so that the mean of what is added is the step.
 * When a mantissa passes 3/4 of its range, the whole tensor is halved and its
 * exponent raised by one.
 *
 * in of both: param int16 [count], param_exp [1], grad int16, grad_exp [1],
 *             hyper int32 [12], residual int16 [count], then
 *             adamw: m int16, v int16; sgd: momentum? int16; and last
 *             positions? int32 [kept], ascending: which entries the gradient is
 *             of. Nothing else changes then, but where a tensor is halved.
 * param, param_exp and the states are written.
 *
 * bfp_outer_sgd_update and bfp_outer_adamw_update: the gradient is an outer
 * product, grad[j, i] = dy[j] x[i], with the exponent and mantissas that
 * bfp_conv2d_weight_grad or bfp_matmul would give it; param [count / cols,
 * cols]. in: param, param_exp, dy int16 [count / cols], dy_exp, hyper,
 * residual, states as above, then x int8 or int16 [cols], x_exp? (int16 x),
 * predicted? [1], written scratch: int16 [cols], a row of the gradient
 *
 * aux where has_units: pairs of mantissa and exponent [count, 2], of what a
 *      unit of the gradient (besides grad_factor), a unit of the parameter, and
 *      its inverse is, for each element
 * hyper: pairs of mantissa and exponent (soft_float.h) of the learning rate,
 * 1 / (1 - beta1^t) and 1 / (1 - beta2^t); the seed (low, high), the step (low,
 * high); hold (not 0: the run only adds gradients up, and nothing is updated);
 * a zero.
 * Randomness: Philox of seed, `stream` and step * 2^32 + element. */
#ifndef FT_KERNELS_BFP_UPDATES_H_
#define FT_KERNELS_BFP_UPDATES_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FT_BFP_HYPER = 12 };

/* Numbers of the settings are pairs of mantissa and exponent. */
typedef struct {
  int32_t count, kept; /* kept is read where positions are given */
  int32_t stream_low, stream_high;
  int32_t grad_factor[2];
  int32_t weight_decay[2];
  int32_t one_minus_beta1[2], one_minus_beta2[2], eps[2]; /* adamw */
  int32_t momentum[2];                                    /* sgd */
  int32_t nesterov;
  int32_t has_units;
  /* Of an outer product: of the operands' factors, and what x is. */
  int32_t cols, exponent, x_is_s8, x_zero_point;
} ft_bfp_update_params;

void ft_bfp_adamw_update_c99(const void* params, const ft_args* args);
void ft_bfp_sgd_update_c99(const void* params, const ft_args* args);
void ft_bfp_outer_adamw_update_c99(const void* params, const ft_args* args);
void ft_bfp_outer_sgd_update_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_UPDATES_H_ */
