/* Constants of 16 channels in the order in which Helium's widening leaves them:
 * vector v holds channels v, v + 4, v + 8, v + 12 of the block. */
#ifndef FT_KERNELS_QUANT_S8_LANES_H_
#define FT_KERNELS_QUANT_S8_LANES_H_

#include "kernels/quant/s8_device.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FT_LANES = 16 };

typedef struct {
  int32_t init[4][4], multiplier[4][4], offset[4][4];
  int32_t left[4][4]; /* minus `right` */
} ft_lane_block;

size_t ft_lane_blocks_bytes(int32_t channels);
/* Of a plain layer. */
void ft_set_lane_blocks(const ft_device_channel* channel, int32_t channels,
                        ft_lane_block* blocks);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_QUANT_S8_LANES_H_ */
