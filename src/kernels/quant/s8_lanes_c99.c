#include <string.h>

#include "kernels/quant/s8_lanes.h"

size_t ft_lane_blocks_bytes(int32_t channels) {
  return (size_t)((channels + FT_LANES - 1) / FT_LANES) * sizeof(ft_lane_block);
}

void ft_set_lane_blocks(const ft_device_channel* channel, int32_t channels,
                        ft_lane_block* blocks) {
  int32_t c;
  memset(blocks, 0, ft_lane_blocks_bytes(channels));
  for (c = 0; c < channels; ++c) {
    ft_lane_block* b = &blocks[c / FT_LANES];
    const int32_t vector = c % 4, lane = c % FT_LANES / 4;
    b->init[vector][lane] = channel[c].init;
    b->multiplier[vector][lane] = channel[c].multiplier;
    b->offset[vector][lane] = channel[c].offset;
    b->left[vector][lane] = -channel[c].right;
  }
}
