/* Which input row a kernel row brings to an output row. */
#ifndef FT_KERNELS_TRANSPOSE_CONV2D_SOURCE_ROW_H_
#define FT_KERNELS_TRANSPOSE_CONV2D_SOURCE_ROW_H_

#include <stdint.h>

/* The i with i * stride == position, or -1 where there is none in 0 .. size. */
static inline int32_t ft_source_index(int32_t position, int32_t stride,
                                      int32_t size) {
  if (position < 0 || position % stride != 0) return -1;
  return position / stride < size ? position / stride : -1;
}

#endif /* FT_KERNELS_TRANSPOSE_CONV2D_SOURCE_ROW_H_ */
