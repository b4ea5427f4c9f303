/* One over the length of each output's adapted weights,
 * 1 / |w[o] + scaling b[o] a|, on block floating point (bfp/bfp.h): what DoRA
 * multiplies a magnitude by.
 *
 * in:  w int8, element (out o, j) at o * out_step + j * step; a int16
 *      [r, columns], a_exp [1], b int16 [rows, r], b_exp [1]
 * aux: multiplier [rows] and exponent [rows], from the unit of b a to
 *      2^-FT_NORM_FRACTION of a step of w; pairs [rows, 2] of mantissa and
 *      exponent (bfp/soft_float.h): the inverse of such a length of 1 in units
 *      of the result
 * out: y int16 [rows], of which each has a unit of its own; y_exp [1]
 * Scratch: int64 [rows].
 *
 * In units of 1 over the base's lengths all results are near 1, so that a
 * shared exponent costs no row its digits. A result is held below 2^7 units, so
 * that one row that shrinks to nothing does not either; that of weights that
 * are all 0 below 1. Elements of b a are held within 2^8 steps times 127. */
#ifndef FT_KERNELS_BFP_INVERSE_NORM_H_
#define FT_KERNELS_BFP_INVERSE_NORM_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FT_NORM_FRACTION = 10 };

typedef struct {
  int32_t rows, columns, rank;
  int32_t out_step, step;
} ft_bfp_inverse_norm_params;

void ft_bfp_inverse_norm_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_INVERSE_NORM_H_ */
