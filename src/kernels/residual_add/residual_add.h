/* y = x + u: what an inserted layer adds to the activation it stands behind.
 *
 * in:  x [count] float or int8, u [count] float in real units
 * out: y [count] as x; may be x
 * int8: y has x's quantizer; u counts in its steps, rounded half up, so that
 * y = x bit for bit where u is zero, and the sum saturates. */
#ifndef FT_KERNELS_RESIDUAL_ADD_H_
#define FT_KERNELS_RESIDUAL_ADD_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t count;
  float inv_scale; /* 1 / scale of x; 1 for float */
} ft_residual_add_params;

void ft_residual_add_f32_c99(const void* params, const ft_args* args);
void ft_residual_add_f64_c99(const void* params, const ft_args* args);
void ft_residual_add_s8f32_c99(const void* params, const ft_args* args);

/* Host rows with the same bits. */
void ft_residual_add_f32_hwy(const void* params, const ft_args* args);
void ft_residual_add_s8f32_hwy(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_RESIDUAL_ADD_H_ */
