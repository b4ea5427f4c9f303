/* One step of AdamW with PyTorch's formulas:
 *   param = param * (1 - lr * weight_decay)
 *   m = m + (1 - beta1) * (grad - m)
 *   v = beta2 * v + (1 - beta2) * grad^2
 *   param = param - lr * c1 * m / (sqrt(v * c2) + eps)
 *
 * in:  param [count] float, written
 *      grad  [count] float, or [kept] where positions are given
 *      m, v  [count] float, written
 *      hyper [4] float32: lr, c1 = 1 / (1 - beta1^t), c2 = 1 / (1 - beta2^t),
 *            and hold: where it is not 0 nothing is updated
 *      positions [kept] int32, ascending; NULL: all. Which entries the gradient
 *            is of: nothing else changes, and t counts all updates, as in
 *            PyTorch's SparseAdam.
 *
 * outer_adamw_update: the gradient is an outer product, grad[j, i] = dy[j]
 * x[i], of which no tensor is made; param [kept, count / kept]. in:  param, dy
 * [kept], x [count / kept], m, v, hyper The row of Highway needs scratch for
 * x's values.
 */
#ifndef FT_KERNELS_ADAMW_UPDATE_H_
#define FT_KERNELS_ADAMW_UPDATE_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 1 - beta is rounded from its exact value: as a difference of floats it would
 * lose four digits for beta2 = 0.999. */
typedef struct {
  int32_t count;
  float one_minus_beta1, beta2, one_minus_beta2, eps, weight_decay;
  int32_t kept; /* read where positions are given, and of an outer product */
} ft_adamw_update_params;

void ft_adamw_update_f32_c99(const void* params, const ft_args* args);
void ft_adamw_update_f64_c99(const void* params, const ft_args* args);
void ft_adamw_update_f32_hwy(const void* params, const ft_args* args);
void ft_outer_adamw_update_f32_c99(const void* params, const ft_args* args);
void ft_outer_adamw_update_f64_c99(const void* params, const ft_args* args);
void ft_outer_adamw_update_f32_hwy(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_ADAMW_UPDATE_H_ */
