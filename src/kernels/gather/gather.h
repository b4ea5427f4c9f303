/* Slices of x picked by index, and the sum of gradients back.
 *
 * gather:      in x [outer, dim, inner], indices int32 [count]
 *              out y [outer, count, inner], y[:, i] = x[:, indices[i]]
 * gather_grad: in dy [outer, count, inner], indices
 *              out dx [outer, dim, inner]
 * An index outside [0, dim) is moved to its nearest end: indices are data, and
 * a kernel has no error path. */
#ifndef FT_KERNELS_GATHER_H_
#define FT_KERNELS_GATHER_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t elem_bytes, outer, dim, count, inner;
} ft_gather_params;

static inline int32_t ft_gather_index(int32_t index, int32_t dim) {
  return index < 0 ? 0 : (index >= dim ? dim - 1 : index);
}

void ft_gather_bytes_c99(const void* params, const ft_args* args);
void ft_gather_grad_f32_c99(const void* params, const ft_args* args);
void ft_gather_grad_f64_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_GATHER_H_ */
