/* How the Helium row of depthwise convolutions fills vectors of 16 lanes: with
 * 16 channels of a pixel, or with all of 2 or 4 neighbours of 8 or 4 channels.
 */
#ifndef FT_KERNELS_DEPTHWISE_CONV2D_DEPTHWISE_LANES_H_
#define FT_KERNELS_DEPTHWISE_CONV2D_DEPTHWISE_LANES_H_

#include "kernels/conv2d/conv_params.h"
#include "kernels/quant/s8_lanes.h"

/* Output pixels in one vector; neighbours read neighbours. */
static inline int32_t ft_depthwise_lanes_pixels(const ft_conv_params* p) {
  const int fits = p->out_c == 4 || p->out_c == 8;
  return fits && p->stride_w == 1 ? FT_LANES / p->out_c : 1;
}

/* Pointers to taps, in whole vectors. */
static inline int32_t ft_depthwise_lanes_words(const ft_conv_params* p) {
  return (p->k_h * p->k_w + 3) / 4 * 4;
}

/* Bytes of a row of zero points. */
static inline int32_t ft_depthwise_lanes_row(const ft_conv_params* p) {
  return (p->in_c + FT_LANES - 1) / FT_LANES * FT_LANES;
}

/* Pointers of 4 bytes, their steps, those at the border; zero points; copies of
 * taps. */
static inline int32_t ft_depthwise_lanes_scratch(const ft_conv_params* p) {
  const int32_t copies =
      ft_depthwise_lanes_pixels(p) > 1 ? p->k_h * p->k_w * FT_LANES : 0;
  return ft_depthwise_lanes_words(p) * 12 + ft_depthwise_lanes_row(p) + copies;
}

/* weights [k_h * k_w, out_c] to [blocks][k_h * k_w][16] for `channels` lanes,
 * of which lane i is channel i % out_c; 0 beyond. */
static inline void ft_depthwise_lanes_pack(const int8_t* w, int32_t taps,
                                           int32_t out_c, int32_t channels,
                                           int8_t* packed) {
  int32_t c, tap;
  for (c = 0; c < (channels + FT_LANES - 1) / FT_LANES * FT_LANES; ++c)
    for (tap = 0; tap < taps; ++tap)
      packed[(c / FT_LANES * taps + tap) * FT_LANES + c % FT_LANES] =
          c < channels ? w[tap * out_c + c % out_c] : (int8_t)0;
}

#endif /* FT_KERNELS_DEPTHWISE_CONV2D_DEPTHWISE_LANES_H_ */
