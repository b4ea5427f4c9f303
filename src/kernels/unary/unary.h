/* y = f(x), element by element, and its gradient.
 *
 * in:  x [count] float or int8
 * out: y [count]; may be x
 * int8: aux[0] is the table of y for x = -128 ... 127.
 *
 * Gradient: dx = dy f'(x), by y where f' is simpler in it.
 * in:  dy [count] float
 *      saved [count]: y for leaky_relu logistic tanh exp sqrt rsqrt elu, else
 * x; float, or int8 read as scale * (q - zero_point) out: dx [count] float; may
 * be dy */
#ifndef FT_KERNELS_UNARY_H_
#define FT_KERNELS_UNARY_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  FT_UNARY_RELU = 0,
  FT_UNARY_RELU6 = 1,
  FT_UNARY_RELU_N1 = 2,
  FT_UNARY_LEAKY_RELU = 3,
  FT_UNARY_HARD_SWISH = 4,
  FT_UNARY_LOGISTIC = 5,
  FT_UNARY_TANH = 6,
  FT_UNARY_GELU = 7,
  FT_UNARY_GELU_TANH = 8, /* gelu by its tanh approximation */
  FT_UNARY_EXP = 9,
  FT_UNARY_LOG = 10,
  FT_UNARY_SQRT = 11,
  FT_UNARY_RSQRT = 12,
  FT_UNARY_SQUARE = 13,
  FT_UNARY_ABS = 14,
  FT_UNARY_NEG = 15,
  FT_UNARY_SILU = 16,
  FT_UNARY_ELU = 17
};

typedef struct {
  int32_t kind, count;
  float alpha; /* of leaky_relu and elu */
  float saved_scale;
  int32_t saved_zero_point;
} ft_unary_params;

void ft_unary_f32_c99(const void* params, const ft_args* args);
void ft_unary_f64_c99(const void* params, const ft_args* args);
void ft_unary_s8_c99(const void* params, const ft_args* args);
void ft_unary_f32_hwy(const void* params, const ft_args* args);
/* Not log, sqrt, rsqrt, gelu, abs and elu. */
int ft_unary_f32_hwy_accepts(const ft_unary_params* p);

void ft_unary_grad_f32_c99(const void* params, const ft_args* args);
void ft_unary_grad_f64_c99(const void* params, const ft_args* args);
void ft_unary_grad_f32s8_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_UNARY_H_ */
