/* Walks a dense output and two operands that may be broadcast.
 *
 * Axes are merged when lowering, so few are long; a broadcast axis has stride
 * 0. The last axis, of which every operand has stride 0 or 1, is the caller's
 * inner loop; ft_next_row() moves both operands on to the next row. */
#ifndef FT_KERNELS_STRIDED_PAIR_H_
#define FT_KERNELS_STRIDED_PAIR_H_

#include "kernels/kernel.h"

enum { FT_MAX_AXES = 8 };

typedef struct {
  int32_t rank; /* 1 to FT_MAX_AXES */
  int32_t dims[FT_MAX_AXES];
  int32_t a_stride[FT_MAX_AXES], b_stride[FT_MAX_AXES];
} ft_strided_pair;

typedef struct {
  int32_t index[FT_MAX_AXES];
  ptrdiff_t a, b; /* offsets of the row */
} ft_row;

static inline int32_t ft_num_rows(const ft_strided_pair* p) {
  int32_t rows = 1, axis;
  for (axis = 0; axis < p->rank - 1; ++axis) rows *= p->dims[axis];
  return rows;
}

static inline void ft_next_row(const ft_strided_pair* p, ft_row* row) {
  int32_t axis;
  for (axis = p->rank - 2; axis >= 0; --axis) {
    row->a += p->a_stride[axis];
    row->b += p->b_stride[axis];
    if (++row->index[axis] < p->dims[axis]) return;
    row->a -= (ptrdiff_t)p->a_stride[axis] * p->dims[axis];
    row->b -= (ptrdiff_t)p->b_stride[axis] * p->dims[axis];
    row->index[axis] = 0;
  }
}

#endif /* FT_KERNELS_STRIDED_PAIR_H_ */
