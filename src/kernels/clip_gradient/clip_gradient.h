/* The norm of all gradients together, and clipping by it or by value.
 *
 * sum_squares: y = so_far + sum of x^2, so that a chain of nodes gives the
 * squared norm over many tensors. Blocks of 256 elements are summed one after
 * the other and their sums added in order: the rounding error grows with the
 * number of blocks, not of elements.
 * in:  x [count] float; so_far [1] float, NULL: 0
 * out: y [1]
 *
 * clip_gradient: y = x * min(1, max_norm / (sqrt(sum_squares) + 1e-6)), then
 * held within +-max_value; as PyTorch's clip_grad_norm_ and clip_grad_value_.
 * in:  x [count] float; sum_squares [1] float, NULL: not by norm
 * out: y [count]; may be x */
#ifndef FT_KERNELS_CLIP_GRADIENT_H_
#define FT_KERNELS_CLIP_GRADIENT_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t count;
} ft_sum_squares_params;

typedef struct {
  int32_t count;
  float max_norm;  /* read where sum_squares is given */
  float max_value; /* 0: not by value */
} ft_clip_gradient_params;

void ft_sum_squares_f32_c99(const void* params, const ft_args* args);
void ft_sum_squares_f64_c99(const void* params, const ft_args* args);
void ft_clip_gradient_f32_c99(const void* params, const ft_args* args);
void ft_clip_gradient_f64_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_CLIP_GRADIENT_H_ */
