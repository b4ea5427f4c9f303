/* What the Helium row of depthwise layers with 16-bit weights reads of the
 * model, and its scratch: eight channels are a block. */
#ifndef FT_KERNELS_WIDE_DEPTHWISE_CONV2D_HELIUM_BLOCKS_H_
#define FT_KERNELS_WIDE_DEPTHWISE_CONV2D_HELIUM_BLOCKS_H_

#include "kernels/depthwise_conv2d/depthwise_lanes.h"
#include "kernels/wide_depthwise_conv2d/wide_depthwise_conv2d.h"

/* Of even channels and odd ones of a block of a plain layer
 * (quant/s8_device.h); 0 where there is no channel. */
typedef struct {
  int32_t multiplier[2][4], offset[2][4];
  int32_t left[2][4]; /* minus `right` */
} ft_wide_constants;

/* Words of a block in scratch: what sums begin with, weights [taps][8]. */
static inline int32_t ft_wide_block_words(int32_t taps) { return 8 + 4 * taps; }

static inline int32_t ft_wide_blocks_bytes(const ft_conv_params* p) {
  return (p->out_c + 7) / 8 * 4 * ft_wide_block_words(p->k_h * p->k_w);
}

static inline int32_t ft_wide_helium_scratch(const ft_conv_params* p) {
  return ft_wide_blocks_bytes(p) + ft_depthwise_lanes_words(p) * 12 +
         ft_depthwise_lanes_row(p);
}

#endif /* FT_KERNELS_WIDE_DEPTHWISE_CONV2D_HELIUM_BLOCKS_H_ */
