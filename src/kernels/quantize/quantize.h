/* Real numbers to 8 bits, and 8 bits from one quantizer to another.
 *
 * in:  x [count] float, int8 or uint8
 * out: q [count] int8 or uint8 */
#ifndef FT_KERNELS_QUANTIZE_H_
#define FT_KERNELS_QUANTIZE_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t count;
  float scale; /* of q; float x only */
  int32_t zero_point;
  int32_t in_zero_point; /* of an 8-bit x, as are the following */
  int32_t multiplier;    /* Q31 of in_scale / scale */
  int32_t shift;
} ft_quantize_params;

/* q = clamp(round(x / scale) + zero_point), half away from zero; NaN gives the
 * lowest value. */
void ft_quantize_f32s8_c99(const void* params, const ft_args* args);
void ft_quantize_f32u8_c99(const void* params, const ft_args* args);
/* q = clamp(requantize(x - in_zero_point) + zero_point) */
void ft_quantize_s8s8_c99(const void* params, const ft_args* args);
void ft_quantize_u8s8_c99(const void* params, const ft_args* args);
void ft_quantize_s8u8_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_QUANTIZE_H_ */
