/* Which of the scales of an int8 operand holds for an element. */
#ifndef FT_KERNELS_MATMUL_SCALE_INL_H_
#define FT_KERNELS_MATMUL_SCALE_INL_H_

#include "kernels/matmul/matmul.h"

/* mn is a row or a column of c, l an index along k. */
static inline int32_t scale_index(const ft_matmul_params* p, int32_t mn,
                                  int32_t l) {
  if (p->scale_axis == FT_SCALE_PER_TENSOR) return 0;
  return p->scale_axis == FT_SCALE_ALONG_K ? l : mn;
}

#endif /* FT_KERNELS_MATMUL_SCALE_INL_H_ */
