/* Gradient of the gain of a linear layer, y = gain * (W x + scaling B h):
 *
 *   dgain[c] = sum over output pixels of dy[c] * (w x + w_delta x + bias +
 *              lora_scaling * lora_b h)[c]
 *
 * The sums before the gain are formed again here, so that nobody keeps them:
 * one forward pass of arithmetic buys a buffer of the size of y. Pixels where
 * dy[c] is 0 (behind a ReLU) are skipped.
 *
 * in:  x [n, in_h, in_w, in_c] float or int8, w float or int8, element (out c,
 *      tap t, in i) at c * w_out_step + t * w_tap_step + i, dy [n, out_h,
 *      out_w, out_c] float, bias? [out_c] (int32 beside int8 w; only where the
 *      gain applies to it), h? [pixels, r], lora_b? [out_c, r],
 *      w_delta? [1, k_h, k_w, out_c] (depthwise)
 * aux: int8 w only: acc_scale [out_c] = x_scale * w_scale
 * out: dgain [out_c]
 * Sums run over kh, kw, cin, then over n, out_h, out_w. */
#ifndef FT_KERNELS_GAIN_GRAD_H_
#define FT_KERNELS_GAIN_GRAD_H_

#include "kernels/conv2d/conv_params.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  ft_conv_params conv; /* a dense layer: 1 x 1 images, 1 x 1 kernel */
  int32_t w_out_step, w_tap_step;
} ft_gain_grad_params;

void ft_gain_grad_f32_c99(const void* params, const ft_args* args);
void ft_gain_grad_f64_c99(const void* params, const ft_args* args);
void ft_gain_grad_s8_c99(const void* params, const ft_args* args);
void ft_gain_grad_s8f32_c99(const void* params, const ft_args* args);

/* Host rows, for layers that they accept; they need this scratch. */
int ft_gain_grad_hwy_accepts(const ft_gain_grad_params* p);
size_t ft_gain_grad_hwy_scratch_bytes(const ft_gain_grad_params* p);
void ft_gain_grad_f32_hwy(const void* params, const ft_args* args);
void ft_gain_grad_s8_hwy(const void* params, const ft_args* args);
void ft_gain_grad_s8f32_hwy(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_GAIN_GRAD_H_ */
