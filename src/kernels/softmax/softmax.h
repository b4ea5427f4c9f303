/* y_j = e^(beta x_j) / sum_k e^(beta x_k) along rows, and its gradient
 * dx_j = beta y_j (dy_j - sum_k dy_k y_k).
 *
 * in:  x [rows, cols] float or int8; gradient: dy, y float
 * out: y; may be x. Gradient: dx; may be dy
 * int8 is bit-equal to TensorFlow Lite's reference (fixed point); y then has
 * the scale 1/256 and the zero point -128. */
#ifndef FT_KERNELS_SOFTMAX_H_
#define FT_KERNELS_SOFTMAX_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t rows, cols;
  float beta;
  /* int8: x - max to Q5.26; below diff_min e^x counts as 0. */
  int32_t multiplier, shift, diff_min;
  /* int8 log-softmax: Q5.26 back to units of x. */
  int32_t reverse_multiplier, reverse_shift;
} ft_softmax_params;

void ft_softmax_f32_c99(const void* params, const ft_args* args);
void ft_softmax_f64_c99(const void* params, const ft_args* args);
void ft_softmax_s8_c99(const void* params, const ft_args* args);
void ft_softmax_f32_hwy(const void* params, const ft_args* args);
void ft_softmax_grad_f32_c99(const void* params, const ft_args* args);
void ft_softmax_grad_f64_c99(const void* params, const ft_args* args);

/* y_j = x_j - log sum_k e^x_k, and dx_j = dy_j - e^y_j sum_k dy_k. int8: y has
 * the scale 1/16 and the zero point 127. */
void ft_log_softmax_f32_c99(const void* params, const ft_args* args);
void ft_log_softmax_f64_c99(const void* params, const ft_args* args);
void ft_log_softmax_s8_c99(const void* params, const ft_args* args);
void ft_log_softmax_grad_f32_c99(const void* params, const ft_args* args);
void ft_log_softmax_grad_f64_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_SOFTMAX_H_ */
