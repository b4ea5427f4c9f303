/* Constants of 16 output channels, as the AVX-512 rows of int8 ops read them.
 *
 * Those rows multiply u = x + 128, which is unsigned, so that the sum over
 * (x - zero_point) * w is the sum over u * w minus a constant of the channel;
 * that constant and the bias are where the accumulators start. */
#ifndef FT_KERNELS_QUANT_S8_CHANNELS_H_
#define FT_KERNELS_QUANT_S8_CHANNELS_H_

#include <stdint.h>

enum { FT_S8_PANEL = 16 };

typedef struct {
  int32_t init[FT_S8_PANEL];
  int32_t multiplier[FT_S8_PANEL];
  int32_t half[FT_S8_PANEL]; /* 2^(right - 1), 0 for right 0 */
  int32_t right[FT_S8_PANEL], left[FT_S8_PANEL];
  int32_t is_plain; /* all left 0 and all right in 1 .. 22 */
} ft_s8_channels;

/* Channel slots that no channel fills. */
static inline void ft_s8_clear_channels(ft_s8_channels* c) {
  int i;
  for (i = 0; i < FT_S8_PANEL; ++i) {
    c->init[i] = c->multiplier[i] = c->left[i] = 0;
    c->half[i] = c->right[i] = 1;
  }
  c->is_plain = 1;
}

/* `weight_sum` is the sum of the channel's int8 weights. */
static inline void ft_s8_set_channel(ft_s8_channels* c, int i, int32_t bias,
                                     int32_t weight_sum, int32_t zero_point,
                                     int32_t multiplier, int32_t shift) {
  const int32_t right = shift < 0 ? -shift : 0;
  c->init[i] = (int32_t)((uint32_t)bias -
                         (uint32_t)(zero_point + 128) * (uint32_t)weight_sum);
  c->multiplier[i] = multiplier;
  c->left[i] = shift > 0 ? shift : 0;
  c->right[i] = right;
  c->half[i] = right > 0 ? (int32_t)(1u << (right - 1)) : 0;
  if (shift > 0 || right < 1 || right > 22) c->is_plain = 0;
}

#endif /* FT_KERNELS_QUANT_S8_CHANNELS_H_ */
