/* Sums the gradients of several runs of a step before one update.
 *
 * While hyper[3] is not 0 the run only adds:  acc = acc + grad,  total = acc.
 * The run that updates gives the average and starts anew:
 *   total = (acc + grad) * scale,  acc = 0.
 *
 * in:  acc   [count] float, written
 *      grad  [count] float
 *      hyper [4] float32; only hyper[3] is read
 * out: total [count]; may be grad */
#ifndef FT_KERNELS_ACCUMULATE_GRAD_H_
#define FT_KERNELS_ACCUMULATE_GRAD_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t count;
  float scale; /* 1 / number of runs in one update */
} ft_accumulate_grad_params;

void ft_accumulate_grad_f32_c99(const void* params, const ft_args* args);
void ft_accumulate_grad_f64_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_ACCUMULATE_GRAD_H_ */
