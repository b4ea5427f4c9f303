/* c = op(a) op(b) on block floating point (bfp/bfp.h).
 *
 * in:  a int8 or int16 [batch, m, k] or, with trans_a, [batch, k, m];
 *      b int8 or int16 [batch or 1, k, n] or, with trans_b, [batch or 1, n, k];
 *      a_exp? [1] (int16 a); b_exp? (int16 b); predicted? [1]
 * aux: Q15 share of each index along k in the largest scale, where one int8
 *      operand has a scale for each (else `has_share` is 0)
 * out: c int16 [batch, m, n], c_exp [1]
 * Scratch: int64 [n]. With a share the sums are shorter by 15 bits. */
#ifndef FT_KERNELS_BFP_MATMUL_H_
#define FT_KERNELS_BFP_MATMUL_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t batch, m, n, k;
  int32_t trans_a, trans_b, broadcast_b;
  int32_t a_is_s8, b_is_s8, a_zero_point, b_zero_point;
  int32_t has_share;
  int32_t exponent;
} ft_bfp_matmul_params;

void ft_bfp_matmul_c99(const void* params, const ft_args* args);
void ft_bfp_matmul_avx512vnni(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_MATMUL_H_ */
