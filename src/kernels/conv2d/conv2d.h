/* y = act(gain * (conv(x, w) + lora_scaling * h lora_b^T) + bias), the bias
 * inside of the parenthesis with gain_bias, and its gradients.
 *
 * conv2d
 *   in:  x [n, in_h, in_w, in_c], w [out_c, k_h, k_w, in_c / groups],
 *        bias? [out_c] (float; int32 for int8 x and w), h? [n, out_h, out_w, r]
 *        float, lora_b? [out_c, r] float, gain? [out_c] float
 *   aux: int8 outputs only: multiplier [out_c] and shift [out_c] int32,
 *        inv_acc_scale [out_c] float = 1 / (x_scale * w_scale)
 *   out: y [n, out_h, out_w, out_c]
 * conv2d_input_grad
 *   in:  dy float, w float or int8; aux: w's scales [out_c] if int8
 *   out: dx [n, in_h, in_w, in_c]
 * conv2d_weight_grad
 *   in:  x float or int8, dy float; out: dw [out_c, k_h, k_w, in_c / groups]
 *
 * Sums run in the order kh, kw, cin (input_grad: out_h, out_w, kh, kw, cout;
 * weight_grad: n, out_h, out_w); bias and the low-rank side come last. int8:
 * TensorFlow Lite's reference arithmetic; the low-rank side is rounded to the
 * accumulator's unit and added before requantization, together with what the
 * gain adds to the sum; a gain of 1 adds nothing. */
#ifndef FT_KERNELS_CONV2D_CONV2D_H_
#define FT_KERNELS_CONV2D_CONV2D_H_

#include "kernels/conv2d/conv_params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef ft_conv_params ft_conv2d_params;
typedef ft_conv_params ft_conv2d_input_grad_params;
typedef ft_conv_params ft_conv2d_weight_grad_params;

void ft_conv2d_f32_c99(const void* params, const ft_args* args);
void ft_conv2d_f64_c99(const void* params, const ft_args* args);
void ft_conv2d_s8_c99(const void* params, const ft_args* args);
void ft_conv2d_s8f32_c99(const void* params, const ft_args* args);

void ft_conv2d_input_grad_f32_c99(const void* params, const ft_args* args);
void ft_conv2d_input_grad_f64_c99(const void* params, const ft_args* args);
void ft_conv2d_input_grad_f32s8_c99(const void* params, const ft_args* args);
void ft_conv2d_input_grad_f32s8_armdsp(const void* params, const ft_args* args);
void ft_conv2d_input_grad_f32s8_helium(const void* params, const ft_args* args);

void ft_conv2d_weight_grad_f32_c99(const void* params, const ft_args* args);
void ft_conv2d_weight_grad_f64_c99(const void* params, const ft_args* args);
void ft_conv2d_weight_grad_s8f32_c99(const void* params, const ft_args* args);

/* Host rows for one group, with the scratch that they need. The packed row
 * takes constant float weights, packed, in aux[0]. */
size_t ft_conv2d_hwy_scratch_bytes(const ft_conv_params* p, int x_is_s8,
                                   int packed);
size_t ft_conv2d_hwy_packed_bytes(const ft_conv_params* p);
void ft_conv2d_hwy_pack(const ft_conv_params* p, const float* w, float* packed);
void ft_conv2d_f32_hwy_packed(const void* params, const ft_args* args);
void ft_conv2d_f32_hwy(const void* params, const ft_args* args);
void ft_conv2d_s8f32_hwy(const void* params, const ft_args* args);

/* int8 with constant weights and bias: aux[3] packed weights, aux[4] constants
 * of the channels, both made by pack(). */
int ft_conv2d_s8_avx512vnni_available(void);
/* One group, and image rows that are not too long. */
int ft_conv2d_s8_avx512vnni_accepts(const ft_conv_params* p);
/* Output rows that are computed from one copy of their image rows. */
int32_t ft_conv2d_s8_avx512vnni_strip_rows(const ft_conv_params* p);
size_t ft_conv2d_s8_avx512vnni_packed_bytes(const ft_conv_params* p);
size_t ft_conv2d_s8_avx512vnni_channels_bytes(const ft_conv_params* p);
size_t ft_conv2d_s8_avx512vnni_scratch_bytes(const ft_conv_params* p);
void ft_conv2d_s8_avx512vnni_pack(const ft_conv_params* p, const int8_t* w,
                                  const int32_t* bias,
                                  const int32_t* multiplier,
                                  const int32_t* shift, void* packed,
                                  void* channels);
void ft_conv2d_s8_avx512vnni(const void* params, const ft_args* args);

size_t ft_conv2d_input_grad_hwy_scratch_bytes(const ft_conv_params* p,
                                              int w_is_s8);
void ft_conv2d_input_grad_f32_hwy(const void* params, const ft_args* args);
void ft_conv2d_input_grad_f32s8_hwy(const void* params, const ft_args* args);

size_t ft_conv2d_weight_grad_hwy_scratch_bytes(const ft_conv_params* p);
void ft_conv2d_weight_grad_f32_hwy(const void* params, const ft_args* args);
void ft_conv2d_weight_grad_s8f32_hwy(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_CONV2D_CONV2D_H_ */
