/* y = scale * x, repeated along the axes of the pair where a_stride is 0 (the
 * pair's second operand is unused).
 *
 * in:  x float
 * out: y */
#ifndef FT_KERNELS_BROADCAST_TO_H_
#define FT_KERNELS_BROADCAST_TO_H_

#include "kernels/binary/strided_pair.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  ft_strided_pair pair;
  float scale;
} ft_broadcast_to_params;

void ft_broadcast_to_f32_c99(const void* params, const ft_args* args);
void ft_broadcast_to_f64_c99(const void* params, const ft_args* args);
void ft_broadcast_to_f32_hwy(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BROADCAST_TO_H_ */
