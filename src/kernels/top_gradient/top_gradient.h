/* The entries of a gradient with the largest magnitudes, and where they stand:
 * the rest is not kept. Of equal magnitudes the first ones are taken. NaN and
 * infinity count as larger than all numbers, so that a gradient which is not
 * finite still reaches the parameters, where training notices it.
 *
 * in:  grad [count] float, or int16 with an exponent of its own (bfp.h)
 * out: values [kept] like grad; positions [kept] int32, ascending
 * scratch: FT_SELECT_BYTES */
#ifndef FT_KERNELS_TOP_GRADIENT_H_
#define FT_KERNELS_TOP_GRADIENT_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t count, kept; /* 1 <= kept <= count */
} ft_top_gradient_params;

void ft_top_gradient_f32_c99(const void* params, const ft_args* args);
void ft_top_gradient_f64_c99(const void* params, const ft_args* args);
void ft_top_gradient_s16_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_TOP_GRADIENT_H_ */
