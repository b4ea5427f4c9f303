/* y = act(gain * depthwise(x, w + w_delta) + bias), the bias inside of the
 * product with gain_bias, and its gradients. Output channel
 * c reads input channel c / (out_c / in_c).
 *
 * depthwise_conv2d
 *   in:  x [n, in_h, in_w, in_c], w [1, k_h, k_w, out_c], bias? [out_c] (float;
 *        int32 for int8 x and w), w_delta? [1, k_h, k_w, out_c] float,
 *        bias_delta? [out_c] float, for int8 outputs only, gain? [out_c] float
 *   aux: int8 outputs only: multiplier [out_c] and shift [out_c] int32,
 *        inv_w_scale [out_c] float
 *   out: y [n, out_h, out_w, out_c]
 * depthwise_conv2d_input_grad
 *   in:  dy float, w float or int8, w_delta? float; aux: w's scales [out_c] if
 *        int8; out: dx [n, in_h, in_w, in_c]
 * depthwise_conv2d_weight_grad
 *   in:  x float or int8, dy float; out: dw [1, k_h, k_w, out_c]
 *
 * Sums run in the order kh, kw (gradients: n, out_h, out_w, kh, kw); bias comes
 * last. int8: TensorFlow Lite's reference arithmetic; the sum of (x - zero
 * point) * w_delta is divided by w's scale, rounded to the accumulator's unit
 * and added before requantization; so is bias_delta. */
#ifndef FT_KERNELS_DEPTHWISE_CONV2D_H_
#define FT_KERNELS_DEPTHWISE_CONV2D_H_

#include "kernels/conv2d/conv_params.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Channels that a C99 row sums at a time, on the stack. */
enum { FT_DEPTHWISE_BLOCK = 32 };

typedef ft_conv_params ft_depthwise_conv2d_params;
typedef ft_conv_params ft_depthwise_conv2d_input_grad_params;
typedef ft_conv_params ft_depthwise_conv2d_weight_grad_params;

void ft_depthwise_conv2d_f32_c99(const void* params, const ft_args* args);
void ft_depthwise_conv2d_f64_c99(const void* params, const ft_args* args);
void ft_depthwise_conv2d_s8_c99(const void* params, const ft_args* args);
void ft_depthwise_conv2d_s8f32_c99(const void* params, const ft_args* args);

void ft_depthwise_conv2d_input_grad_f32_c99(const void* params,
                                            const ft_args* args);
void ft_depthwise_conv2d_input_grad_f64_c99(const void* params,
                                            const ft_args* args);
void ft_depthwise_conv2d_input_grad_f32s8_c99(const void* params,
                                              const ft_args* args);

void ft_depthwise_conv2d_weight_grad_f32_c99(const void* params,
                                             const ft_args* args);
void ft_depthwise_conv2d_weight_grad_f64_c99(const void* params,
                                             const ft_args* args);
void ft_depthwise_conv2d_weight_grad_s8f32_c99(const void* params,
                                               const ft_args* args);
/* Host rows, for kernels that they accept; all but the weight gradients need
 * this scratch. */
int ft_depthwise_conv2d_hwy_accepts(const ft_conv_params* p);
size_t ft_depthwise_conv2d_hwy_scratch_bytes(const ft_conv_params* p);
void ft_depthwise_conv2d_f32_hwy(const void* params, const ft_args* args);
void ft_depthwise_conv2d_input_grad_f32_hwy(const void* params,
                                            const ft_args* args);
void ft_depthwise_conv2d_input_grad_f32s8_hwy(const void* params,
                                              const ft_args* args);
void ft_depthwise_conv2d_weight_grad_f32_hwy(const void* params,
                                             const ft_args* args);
void ft_depthwise_conv2d_weight_grad_s8f32_hwy(const void* params,
                                               const ft_args* args);

/* int8 with constant weights and bias, for parameters that it accepts: aux[3]
 * packed weights, aux[4] constants of the channels, both made by pack(). */
int ft_depthwise_conv2d_s8_avx512vnni_available(void);
int ft_depthwise_conv2d_s8_avx512vnni_accepts(const ft_conv_params* p);
size_t ft_depthwise_conv2d_s8_avx512vnni_packed_bytes(const ft_conv_params* p);
size_t ft_depthwise_conv2d_s8_avx512vnni_channels_bytes(
    const ft_conv_params* p);
/* `num_vectors` counts bias_delta, the gain, and the bias that it leaves out.
 */
size_t ft_depthwise_conv2d_s8_avx512vnni_scratch_bytes(const ft_conv_params* p,
                                                       int has_delta,
                                                       int num_vectors);
void ft_depthwise_conv2d_s8_avx512vnni_pack(const ft_conv_params* p,
                                            const int8_t* w,
                                            const int32_t* bias,
                                            const int32_t* multiplier,
                                            const int32_t* shift, void* packed,
                                            void* channels);
/* The same of a layer with an adapter's difference, but no gain. */
void ft_depthwise_conv2d_s8_avx512vnni_pack_beside(
    const ft_conv_params* p, const int8_t* w, const int32_t* bias,
    const int32_t* multiplier, const int32_t* shift, void* packed,
    void* channels);
void ft_depthwise_conv2d_s8_avx512vnni(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_DEPTHWISE_CONV2D_H_ */
