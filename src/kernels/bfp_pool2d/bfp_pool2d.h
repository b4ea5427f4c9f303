/* Gradients of pooling on block floating point (bfp/bfp.h); windows as in
 * pool2d/pool2d.h.
 *
 * bfp_avg_pool2d_grad: in dy int16 [n, oh, ow, c], dy_exp, predicted? [1]
 * bfp_max_pool2d_grad: in dy, dy_exp, x int8 [n, h, w, c], y int8 (as dy),
 *                      predicted?; the first maximum of a window counts
 * out: dx int16 [n, h, w, c], dx_exp [1]
 * Scratch: int64 [c]. */
#ifndef FT_KERNELS_BFP_POOL2D_H_
#define FT_KERNELS_BFP_POOL2D_H_

#include "kernels/pool2d/pool2d.h"

#ifdef __cplusplus
extern "C" {
#endif

void ft_bfp_avg_pool2d_grad_c99(const void* params, const ft_args* args);
void ft_bfp_max_pool2d_grad_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_POOL2D_H_ */
