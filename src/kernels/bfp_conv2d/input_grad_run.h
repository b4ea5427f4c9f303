/* What rows of input gradients do with their sums. */
#ifndef FT_KERNELS_BFP_CONV2D_INPUT_GRAD_RUN_H_
#define FT_KERNELS_BFP_CONV2D_INPUT_GRAD_RUN_H_

#include "kernels/bfp/addition.h"
#include "kernels/bfp_conv2d/bfp_conv2d.h"

/* Writes dx, or adds it to the addend; `exponent`: of the sums, `row`: int16
 * [in_c] where there is an addend. */
FT_BFP_COPIED void ft_input_grad_run(const ft_bfp_conv2d_params* p,
                                     const ft_args* args,
                                     const ft_bfp_matrix* m, int64_t exponent,
                                     int16_t* row) {
  int32_t* predicted = (int32_t*)args->in[4];
  int16_t* dx = (int16_t*)args->out[0];
  ft_bfp_addend to;
  if (!args->in[5]) {
    ft_bfp_run(m, predicted, exponent, dx);
    return;
  }
  to.a = (const int16_t*)args->in[5];
  to.exponent = *(const int32_t*)args->in[6];
  to.multiplier = p->add_multiplier;
  to.shift = p->add_shift;
  to.row = row;
  *m->exponent = ft_bfp_run_onto(m, predicted, exponent, &to, dx);
}

#endif /* FT_KERNELS_BFP_CONV2D_INPUT_GRAD_RUN_H_ */
