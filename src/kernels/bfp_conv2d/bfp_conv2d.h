/* Convolution and its gradients on block floating point (see bfp/bfp.h); a
 * fully connected layer is one of size 1 x 1. y_exp is the sum of the operands'
 * exponents, the shift of the sums and `exponent`.
 *
 * bfp_conv2d: y = x * w + bias
 *   in:  x int8 or int16 [n, in_h, in_w, in_c],
 *        w int16 [out_c, k_h, k_w, in_c / groups], w_exp [1],
 *        x_exp? [1] (int16 x), bias? int16 [out_c], bias_exp? [1]
 *   aux: with a bias: multiplier and shift, from its unit to that of the sums
 *   out: y int16 [n, out_h, out_w, out_c], y_exp [1]
 * bfp_conv2d_input_grad
 *   in:  dy int16, dy_exp, w int8 or int16, w_exp? (int16 w), predicted? [1],
 *        addend? int16 as dx, addend_exp? [1]
 *   aux: Q15 share of each of out_c channels' scale in the largest (int8 w)
 *   out: dx int16 [n, in_h, in_w, in_c], dx_exp; with an addend what bfp_add
 *        makes of it and the gradient, and dx may be the addend
 * bfp_conv2d_weight_grad
 *   in:  x int8 or int16, dy int16, dy_exp, x_exp?, predicted? [1]
 *   out: dw int16 [out_c, k_h, k_w, in_c / groups], dw_exp
 *
 * An input gradient of FT_BFP_TWICE may lie over dy (ops/overlap.h).
 * `predicted` is updated in place. Scratch: int64 for a row of the output (its
 * last dimension); with int8 x bfp_conv2d adds int16 [k_h, k_w, in_c / groups];
 * with int8 w the input gradient has int32 [in_c] and int16 [out_c]; an addend
 * asks for int16 [in_c] more. The weight
 * gradient sums ft_weight_grad_lanes() output channels at a time, [lanes, k_w,
 * in_c / groups]: int64, and with int8 x int32 (int32 alone up to 256 pixels)
 * and int16 [4, k_w, in_c / groups], to which the row of DSP adds what
 * prepare_weight_grad_armdsp() in ops/bfp_conv2d.cc says. Sums with int8
 * weights stay in int32: dy is shortened by `guard` bits first, as many as the
 * longest sum asks for. */
#ifndef FT_KERNELS_BFP_CONV2D_H_
#define FT_KERNELS_BFP_CONV2D_H_

#include "kernels/conv2d/conv_params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  ft_conv_params conv;
  int32_t exponent; /* of the operands' factors, added to y_exp */
  int32_t is_s8;    /* x (forward, weight gradient) or w (input gradient) */
  int32_t guard;
  int32_t passes; /* FT_BFP_ONCE or FT_BFP_TWICE, of input gradients */
  /* The gradient's unit in the addend's: multiplier * 2^(shift - 31). */
  int32_t add_multiplier, add_shift;
} ft_bfp_conv2d_params;

enum { FT_WEIGHT_GRAD_LANES = 4, FT_WEIGHT_GRAD_PIXELS = 4 };

/* Fewer where a group has fewer channels. */
static inline int32_t ft_weight_grad_lanes(const ft_conv_params* p) {
  const int32_t out_per_group = p->out_c / p->groups;
  return out_per_group % 4 == 0 ? 4 : out_per_group % 2 == 0 ? 2 : 1;
}

/* dy's row that image row `at` gets from kernel row k; -1: none. */
static inline int32_t ft_gradient_source(int32_t at, int32_t pad, int32_t k,
                                         int32_t dilation, int32_t stride,
                                         int32_t size) {
  const int32_t from = at + pad - k * dilation;
  if (from < 0 || from % stride != 0 || from / stride >= size) return -1;
  return from / stride;
}

void ft_bfp_conv2d_c99(const void* params, const ft_args* args);
void ft_bfp_conv2d_armdsp(const void* params, const ft_args* args);
void ft_bfp_conv2d_avx512vnni(const void* params, const ft_args* args);
void ft_bfp_conv2d_input_grad_c99(const void* params, const ft_args* args);
void ft_bfp_conv2d_input_grad_armdsp(const void* params, const ft_args* args);
void ft_bfp_conv2d_input_grad_avx512vnni(const void* params,
                                         const ft_args* args);
void ft_bfp_conv2d_weight_grad_c99(const void* params, const ft_args* args);
void ft_bfp_conv2d_weight_grad_armdsp(const void* params, const ft_args* args);
void ft_bfp_conv2d_weight_grad_avx512vnni(const void* params,
                                          const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_CONV2D_H_ */
