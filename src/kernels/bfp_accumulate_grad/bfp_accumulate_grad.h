/* Sums the gradients of several runs of a step before one update, on block
 * floating point (bfp/bfp.h).
 *
 * While hyper[10] is not 0 the run only adds: acc = acc + grad, total = 0. The
 * run that updates gives all of it and starts anew:
 *   total = acc + grad,  acc = 0.
 *
 * in:  acc int32 [count] and acc_exp [1], written; grad int16, grad_exp [1],
 *      hyper int32 [12] (bfp_updates/bfp_updates.h)
 * out: total int16 [count], which may be grad; total_exp [1]. `exponent` is
 *      added to it: of what divides the sum by the number of runs.
 * Sums have up to 30 bits of the largest among them, 15 below a gradient. */
#ifndef FT_KERNELS_BFP_ACCUMULATE_GRAD_H_
#define FT_KERNELS_BFP_ACCUMULATE_GRAD_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t count;
  int32_t exponent;
} ft_bfp_accumulate_grad_params;

void ft_bfp_accumulate_grad_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_ACCUMULATE_GRAD_H_ */
