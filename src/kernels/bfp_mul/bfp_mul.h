/* Products and ReLU of block floating point (bfp/bfp.h), element by element.
 *
 * bfp_mul: y = a * b
 *   in:  a int16, a_exp [1], b int16, b_exp [1], predicted? [1]
 *   out: y int16, y_exp [1]
 * bfp_relu: y = max(x, 0); the exponent stays
 *   in:  x int16
 *   out: y int16; may be x */
#ifndef FT_KERNELS_BFP_MUL_H_
#define FT_KERNELS_BFP_MUL_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t count;
  int32_t exponent; /* of the operands' factors */
} ft_bfp_mul_params;

typedef struct {
  int32_t count;
} ft_bfp_relu_params;

void ft_bfp_mul_c99(const void* params, const ft_args* args);
void ft_bfp_relu_c99(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_BFP_MUL_H_ */
