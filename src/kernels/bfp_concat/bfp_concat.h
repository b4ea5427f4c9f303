/* Several tensors of block floating point (bfp/bfp.h) one after another,
 * `outer` times, brought to one exponent.
 *
 * in:  part i's mantissas [outer, run] and exponent [1], at 2 i and 2 i + 1
 * aux: run, multiplier and shift of each part, int32 [parts] each; a part's
 *      unit is multiplier * 2^shift of the result's
 * out: y int16 [outer, sum of runs], y_exp [1] */
#ifndef FT_KERNELS_BFP_CONCAT_H_
#define FT_KERNELS_BFP_CONCAT_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t outer, parts;
} ft_bfp_concat_params;

void ft_bfp_concat_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_CONCAT_H_ */
