/* int8 depthwise convolution whose weights have 16 bits and can be swapped: the
 * deployed ones and what an adapter adds to them, in fractions of their unit.
 *
 * in:  x [n, in_h, in_w, in_c] int8, w int16 of
 *      [out_c padded with 0 to a multiple of 4][k_h * k_w], in blocks of four
 *      channels: [out_c / 4][k_h * k_w][channels 0, 2, 1, 3]; start [out_c]
 * int32 aux: multiplier [out_c] and shift [out_c] int32, of the deployed layer
 * out: y [n, out_h, out_w, out_c] int8
 *
 *   acc[c] = (start[c] + sum x w[c]) / 2^FT_WIDE_BITS, rounded down
 *
 * over the whole kernel, outside of the image with x_zero_point; then acc is
 * requantized as the deployed layer's is. start holds the bias, minus the zero
 * point times the weights, and one half: with the deployed weights times
 * 2^FT_WIDE_BITS it is that layer bit for bit. Sums wrap. */
#ifndef FT_KERNELS_WIDE_DEPTHWISE_CONV2D_WIDE_DEPTHWISE_CONV2D_H_
#define FT_KERNELS_WIDE_DEPTHWISE_CONV2D_WIDE_DEPTHWISE_CONV2D_H_

#include "kernels/conv2d/conv_params.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Weights reach eight times as far as the deployed ones do. */
enum { FT_WIDE_BITS = 5 };

typedef ft_conv_params ft_wide_depthwise_conv2d_params;

/* Where weight `tap` of channel c stands. */
static inline int32_t ft_wide_index(int32_t taps, int32_t tap, int32_t c) {
  static const int32_t order[4] = {0, 2, 1, 3};
  return ((c / 4) * taps + tap) * 4 + order[c % 4];
}

void ft_wide_depthwise_conv2d_s8_c99(const void* params, const ft_args* args);

/* As many outputs as inputs, whole blocks of four channels; aux[2]: constants
 * of the channels, made by pack(). */
int ft_wide_depthwise_conv2d_s8_avx512vnni_available(void);
int ft_wide_depthwise_conv2d_s8_avx512vnni_accepts(const ft_conv_params* p);
size_t ft_wide_depthwise_conv2d_s8_avx512vnni_channels_bytes(
    const ft_conv_params* p);
size_t ft_wide_depthwise_conv2d_s8_avx512vnni_scratch_bytes(
    const ft_conv_params* p);
void ft_wide_depthwise_conv2d_s8_avx512vnni_pack(const ft_conv_params* p,
                                                 const int32_t* multiplier,
                                                 const int32_t* shift,
                                                 void* channels);
void ft_wide_depthwise_conv2d_s8_avx512vnni(const void* params,
                                            const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_WIDE_DEPTHWISE_CONV2D_WIDE_DEPTHWISE_CONV2D_H_ */
