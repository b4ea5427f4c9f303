/* Copies between a dense tensor and a regular pattern in another one: what
 * transpose, slice, strided slice, padding and nearest resize do. Elements are
 * only moved, so one kernel serves every dtype of `elem_bytes`.
 *
 * `dims` is the dense side, row major. Element (i0, i1, ...) of it is element
 * offset + i0 * strides[0] + i1 * strides[1] + ... of the other side, which has
 * `count` elements. Unused dims are 1. */
#ifndef FT_KERNELS_STRIDED_H_
#define FT_KERNELS_STRIDED_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FT_STRIDED_RANK = 8 };

typedef struct {
  int32_t elem_bytes;
  int32_t dims[FT_STRIDED_RANK];
  int32_t strides[FT_STRIDED_RANK]; /* in elements, may be negative */
  int32_t offset;                   /* in elements */
  int32_t count;
} ft_strided_params;

/* in: strided side; out: dense side. */
void ft_strided_read_bytes_c99(const void* params, const ft_args* args);
/* in: dense side; out: strided side, all other elements of which become the one
 * element in aux[0]. */
void ft_strided_write_bytes_c99(const void* params, const ft_args* args);
/* in: other side; out: dense side. Element (i0, i1, ...) is read from
 * t0[i0] + t1[i1] + ..., where aux[0] holds the int32 tables t0, t1, ... of
 * lengths dims[0], dims[1], ... one after another. `strides` and `offset` are
 * unused. */
void ft_table_read_bytes_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_STRIDED_H_ */
