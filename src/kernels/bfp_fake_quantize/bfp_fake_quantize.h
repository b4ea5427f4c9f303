/* Mantissas of block floating point (bfp/bfp.h) rounded to the integers from
 * -qmax to qmax of a quantizer whose steps are powers of two: of each group
 * (fake_quantize/fake_quantize.h) the smallest that its values fit. The
 * exponent stays; halves round to even.
 *
 * in:  x int16 [count], x_exp [1]
 * out: y int16 [count], y_exp [1]
 * Scratch: int32 [groups]. */
#ifndef FT_KERNELS_BFP_FAKE_QUANTIZE_H_
#define FT_KERNELS_BFP_FAKE_QUANTIZE_H_

#include "kernels/fake_quantize/fake_quantize.h"

#ifdef __cplusplus
extern "C" {
#endif

void ft_bfp_fake_quantize_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_FAKE_QUANTIZE_H_ */
