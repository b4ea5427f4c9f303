/* loss = mean of (pred - target)^2, and its gradient by pred.
 *
 * in:  pred, target [count] float; dloss [1] float (gradient only)
 * out: loss [1], or dpred [count], which may be pred */
#ifndef FT_KERNELS_MSE_LOSS_H_
#define FT_KERNELS_MSE_LOSS_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t count;
} ft_mse_loss_params;

void ft_mse_loss_f32_c99(const void* params, const ft_args* args);
void ft_mse_loss_f64_c99(const void* params, const ft_args* args);
void ft_mse_loss_grad_f32_c99(const void* params, const ft_args* args);
void ft_mse_loss_grad_f64_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_MSE_LOSS_H_ */
