/* What lies in the scratch of the Helium row of a layer with a side: in a
 * header because the compiler asks for its size. */
#ifndef FT_KERNELS_SIDE_CONV2D_HELIUM_SCRATCH_H_
#define FT_KERNELS_SIDE_CONV2D_HELIUM_SCRATCH_H_

#include "kernels/conv2d/conv_params.h"
#include "kernels/side_conv2d/side_conv2d.h"

/* A pixel's h in vectors of 8 halfwords; none up to rank 4, whose h of four
 * pixels are four vectors of words. */
static inline int32_t ft_side_blocks(int32_t rank) {
  return rank > 4 ? (rank + 7) / 8 : 0;
}

/* Layers that four pixels and four channels at a time fill. */
static inline int ft_side_is_fast(const ft_conv_params* p) {
  return p->out_c % 4 == 0 && ft_num_pixels(p) >= 4;
}

/* B is copied to words, or to halfwords where its rows are no whole blocks. */
static inline int ft_side_copies_b(const ft_conv_params* p) {
  return ft_side_is_fast(p) && (p->rank <= 4 || p->rank % 8 != 0);
}

static inline int32_t ft_side_bytes_of_b(const ft_conv_params* p) {
  const int32_t blocks = ft_side_blocks(p->rank);
  return ft_side_copies_b(p) ? p->out_c * 16 * (blocks ? blocks : 1) : 0;
}

/* h, what the rows of A begin with, h again in blocks. */
static inline int32_t ft_side_bytes_of_h(const ft_conv_params* p) {
  const int32_t blocks = ft_side_blocks(p->rank);
  return 16 * (blocks ? p->rank : 4) + (p->rank + 3) / 4 * 16 + 64 * blocks;
}

/* Those, B, and windows of four pixels where they are no whole vectors of the
 * image. */
static inline int32_t ft_side_helium_scratch(const ft_conv_params* p) {
  const int reads_image = ft_is_pointwise(p) && p->in_c % 16 == 0;
  const int32_t windows = reads_image ? 0 : 4 * ft_side_row(p);
  return ft_side_bytes_of_h(p) + ft_side_bytes_of_b(p) + windows;
}

#endif /* FT_KERNELS_SIDE_CONV2D_HELIUM_SCRATCH_H_ */
