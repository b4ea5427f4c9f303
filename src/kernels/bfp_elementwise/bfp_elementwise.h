/* Element-wise ops on block floating point (bfp/bfp.h).
 *
 * bfp_dequantize: int8 with one scale a channel as mantissas
 *   in:  q int8 [outer, channels, inner]
 *   aux: zero point [channels], Q14 share of each scale in the largest
 *        [channels]
 *   out: y int16; y_exp [1], constant
 * bfp_add: y = a + b
 *   in:  a, a_exp, b, b_exp
 *   out: y int16, y_exp
 * bfp_activation_grad: dx = dy where low < y < high, else 0; the exponent stays
 *   in:  dy int16, y int8 or int16 (whose sign is all that counts)
 *   out: dx int16; may be dy
 * bfp_reduce: sums over axes; x is seen as four dimensions, of which `mask`
 *   names those that are summed (bit d)
 *   in:  x int16, x_exp, predicted? [1]
 *   out: y int16, y_exp. Scratch: int64 for y's last kept dimension
 * bfp_broadcast_to: repeats along axes; the exponent stays
 *   in:  x int16
 *   out: y int16 */
#ifndef FT_KERNELS_BFP_ELEMENTWISE_H_
#define FT_KERNELS_BFP_ELEMENTWISE_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t outer, channels, inner;
  int32_t exponent;
} ft_bfp_dequantize_params;

typedef struct {
  int32_t count;
  /* b's unit in a's: multiplier * 2^(shift - 31), multiplier >= 2^30 */
  int32_t multiplier, shift;
} ft_bfp_add_params;

typedef struct {
  int32_t count;
  int32_t y_is_s8, q_low, q_high;
} ft_bfp_activation_grad_params;

enum { FT_BFP_MAX_RANK = 8 };

/* Dimensions of the larger tensor; those in `mask` are 1 in the smaller. */
typedef struct {
  int32_t rank;
  int32_t dim[FT_BFP_MAX_RANK];
  int32_t mask;
} ft_bfp_axes_params;

void ft_bfp_dequantize_c99(const void* params, const ft_args* args);
void ft_bfp_add_c99(const void* params, const ft_args* args);
void ft_bfp_activation_grad_c99(const void* params, const ft_args* args);
void ft_bfp_reduce_c99(const void* params, const ft_args* args);
void ft_bfp_broadcast_to_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_ELEMENTWISE_H_ */
