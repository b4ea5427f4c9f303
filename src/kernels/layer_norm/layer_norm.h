/* y = (x - mean) / sqrt(variance + eps) * gamma + beta along rows, and the
 * gradient by x. Without `center` the mean counts as 0: RMSNorm,
 * y = x / sqrt(mean(x^2) + eps) * gamma.
 *
 * in:  x [rows, cols], gamma [cols] (NULL: 1), beta [cols] (NULL: 0), float
 *      gradient: dy, x [rows, cols], gamma [cols] (NULL: 1)
 * out: y; may be x. Gradient: dx; may be dy
 * The variance divides by cols. */
#ifndef FT_KERNELS_LAYER_NORM_H_
#define FT_KERNELS_LAYER_NORM_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t rows, cols;
  int32_t center; /* 0: RMSNorm */
  float eps;
} ft_layer_norm_params;

void ft_layer_norm_f32_c99(const void* params, const ft_args* args);
void ft_layer_norm_f64_c99(const void* params, const ft_args* args);
void ft_layer_norm_grad_f32_c99(const void* params, const ft_args* args);
void ft_layer_norm_grad_f64_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_LAYER_NORM_H_ */
