/* The sum of a gather's gradients (gather/gather.h) on block floating point
 * (bfp/bfp.h).
 *
 * in:  dy int16 [outer, count, inner], dy_exp [1], indices int32 [count],
 *      predicted? [1]
 * out: dx int16 [outer, dim, inner], dx_exp [1]
 * Scratch: int64 [dim, inner]. */
#ifndef FT_KERNELS_BFP_GATHER_H_
#define FT_KERNELS_BFP_GATHER_H_

#include "kernels/gather/gather.h"

#ifdef __cplusplus
extern "C" {
#endif

void ft_bfp_gather_grad_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_GATHER_H_ */
