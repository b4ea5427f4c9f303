/* y = scale * (q - zero_point)
 *
 * in:  q [outer, channels, inner] int8 or uint8
 * out: y of the same shape, float
 * aux: scale [channels] float, zero_point [channels] int32; per tensor is
 *      channels = 1. */
#ifndef FT_KERNELS_DEQUANTIZE_H_
#define FT_KERNELS_DEQUANTIZE_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t outer, channels, inner;
} ft_dequantize_params;

void ft_dequantize_s8f32_c99(const void* params, const ft_args* args);
void ft_dequantize_u8f32_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_DEQUANTIZE_H_ */
