/* Weights of two output channels in one word, for s8_armdsp.h. */
#ifndef FT_KERNELS_QUANT_S8_PAIRS_H_
#define FT_KERNELS_QUANT_S8_PAIRS_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Products until the sums of two channels must be told apart; 508 * 2^14 lies
 * below 2^23. A multiple of 4. */
enum { FT_DSP_CHUNK = 508 };

/* w [n, k]; k is padded with 0 to a multiple of 4 and n to one of 2. */
size_t ft_pack_pairs_bytes(int32_t n, int32_t k);
/* False: a channel's weight of -128 stands beside a negative one of the channel
 * before, which the packing cannot express. The TensorFlow Lite specification
 * keeps weights above -128. */
int ft_can_pack_pairs(const int8_t* w, int32_t n, int32_t k);
void ft_pack_pairs(const int8_t* w, int32_t n, int32_t k, int8_t* packed);

/* Depthwise weights w [taps, channels], channels a multiple of 4, as halfwords
 * [channels / 4][taps][0, 2, 1, 3]. */
void ft_pack_depthwise_s16(const int8_t* w, int32_t taps, int32_t channels,
                           int16_t* packed);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_QUANT_S8_PAIRS_H_ */
