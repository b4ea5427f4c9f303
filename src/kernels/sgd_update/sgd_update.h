/* One step of stochastic gradient descent with PyTorch's formulas:
 *   g = grad + weight_decay * param, or grad where weight_decay is 0
 *   state = momentum * state + g; g = nesterov ? g + momentum * state : state
 *   param = param - lr * g
 *
 * in:  param [count] float, written
 *      grad  [count] float, or [kept] where positions are given
 *      hyper [4] float32: lr, two that sgd does not read, and hold: where it
 *            is not 0 nothing is updated (gradients are being accumulated)
 *      state [count] float, written; NULL: no momentum
 *      positions [kept] int32, ascending; NULL: all. Which entries the gradient
 *            is of: no other's parameter or state changes.
 *
 * outer_sgd_update: the gradient is an outer product, grad[j, i] = dy[j] x[i],
 * of which no tensor is made; param [kept, count / kept].
 * in:  param, dy [kept], x [count / kept], hyper, state (NULL: no momentum)
 * The row of Highway needs scratch for x's values. */
#ifndef FT_KERNELS_SGD_UPDATE_H_
#define FT_KERNELS_SGD_UPDATE_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t count;
  float momentum, weight_decay;
  int32_t nesterov;
  int32_t kept; /* read where positions are given, and of an outer product */
} ft_sgd_update_params;

void ft_sgd_update_f32_c99(const void* params, const ft_args* args);
void ft_sgd_update_f64_c99(const void* params, const ft_args* args);
void ft_sgd_update_f32_hwy(const void* params, const ft_args* args);
void ft_outer_sgd_update_f32_c99(const void* params, const ft_args* args);
void ft_outer_sgd_update_f64_c99(const void* params, const ft_args* args);
void ft_outer_sgd_update_f32_armdsp(const void* params, const ft_args* args);
void ft_outer_sgd_update_f32_hwy(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_SGD_UPDATE_H_ */
