/* dx = dy where low < y < high, else 0: the gradient of a clamp (fused
 * activation, int8 saturation), seen from the clamped value.
 *
 * in:  dy [count] float
 *      y  [count] float or int8
 * out: dx [count] float; may be dy */
#ifndef FT_KERNELS_ACTIVATION_GRAD_H_
#define FT_KERNELS_ACTIVATION_GRAD_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t count;
  float low, high;       /* of a float y */
  int32_t q_low, q_high; /* of an int8 y */
} ft_activation_grad_params;

void ft_activation_grad_f32_c99(const void* params, const ft_args* args);
void ft_activation_grad_f64_c99(const void* params, const ft_args* args);
void ft_activation_grad_f32s8_c99(const void* params, const ft_args* args);
void ft_activation_grad_f32_hwy(const void* params, const ft_args* args);
void ft_activation_grad_f32s8_hwy(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_ACTIVATION_GRAD_H_ */
