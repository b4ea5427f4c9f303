/* An int8 convolution or fully connected layer as deployed, with an adapter's
 * low-rank side in integers: inference beside a frozen base.
 *
 * in:  x [n, in_h, in_w, in_c] int8, w [out_c, k_h, k_w, in_c] int8,
 *      bias? [out_c] int32, a [rank, k_h * k_w * in_c padded with 0 to a
 *      multiple of 16] int8, a_factor [rank] int32, b [out_c, rank] int16;
 *      rank is even
 * aux: multiplier [out_c] and shift [out_c] int32
 * out: y [n, out_h, out_w, out_c] int8
 * scratch: rank int16
 *
 *   h[i]   = (sum (x - x_zero_point) a[i]) * a_factor[i] / 2^32, rounded,
 * halves up, and saturated to int16 acc[c] = sum (x - x_zero_point) w[c] +
 * bias[c]
 *            + (sum b[c, i] h[i]) / 2^FT_SIDE_BITS, rounded down
 *
 * and acc is requantized as the layer alone is: with b = 0 it is that layer bit
 * for bit. Sums with b wrap. What adapter's values these are:
 * passes/side_values.h. */
#ifndef FT_KERNELS_SIDE_CONV2D_SIDE_CONV2D_H_
#define FT_KERNELS_SIDE_CONV2D_SIDE_CONV2D_H_

#include "kernels/conv2d/conv_params.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a side adds has this many bits behind the accumulator's unit, and so
 * lies within +-2^23 units. */
enum { FT_SIDE_BITS = 8 };

typedef struct {
  ft_conv_params conv; /* rank: that of the side */
  int32_t round_once;  /* a fully connected layer (quant/fixed_point.h) */
} ft_side_conv2d_params;

/* Bytes from one row of a to the next. */
static inline int32_t ft_side_row(const ft_conv_params* p) {
  return (p->k_h * p->k_w * p->in_c + 15) / 16 * 16;
}

void ft_side_conv2d_s8_c99(const void* params, const ft_args* args);

/* With constant weights and bias: aux[2] packed weights, aux[3] constants of
 * the channels, both made by pack(). */
int ft_side_conv2d_s8_avx512vnni_available(void);
int ft_side_conv2d_s8_avx512vnni_accepts(const ft_side_conv2d_params* side);
size_t ft_side_conv2d_s8_avx512vnni_packed_bytes(
    const ft_side_conv2d_params* side);
size_t ft_side_conv2d_s8_avx512vnni_channels_bytes(
    const ft_side_conv2d_params* side);
size_t ft_side_conv2d_s8_avx512vnni_scratch_bytes(
    const ft_side_conv2d_params* side);
void ft_side_conv2d_s8_avx512vnni_pack(const ft_side_conv2d_params* side,
                                       const int8_t* w, const int32_t* bias,
                                       const int32_t* multiplier,
                                       const int32_t* shift, void* packed,
                                       void* channels);
void ft_side_conv2d_s8_avx512vnni(const void* params, const ft_args* args);
/* The same of a fully connected layer, to the same bits, where each row has an
 * adapter of its own: in[3], in[4] and in[5] are `const void* const[batch]`, an
 * a, an a_factor and a b for each row. */
void ft_side_conv2d_grouped_s8_avx512vnni(const void* params,
                                          const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_SIDE_CONV2D_SIDE_CONV2D_H_ */
