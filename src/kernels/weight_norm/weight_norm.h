/* Length of each output's adapted weights: norm[o] = |w[o] + scaling b[o] a|,
 * at least the smallest normal float, so that it can be divided by.
 *
 * in:  w float or int8, element (out o, j) at o * out_step + j * step,
 *      a [r, columns] float, b [rows, r] float
 * aux: int8 w only: w's scales [rows]
 * out: norm [rows]
 * The product b a is formed an element at a time and kept nowhere. Sums run
 * along j, products along r. */
#ifndef FT_KERNELS_WEIGHT_NORM_H_
#define FT_KERNELS_WEIGHT_NORM_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  int32_t rows, columns, rank;
  int32_t out_step, step; /* of w's elements */
  float scaling;
} ft_weight_norm_params;

void ft_weight_norm_f32_c99(const void* params, const ft_args* args);
void ft_weight_norm_f64_c99(const void* params, const ft_args* args);
void ft_weight_norm_s8_c99(const void* params, const ft_args* args);

/* Host rows; they need this scratch. */
size_t ft_weight_norm_hwy_scratch_bytes(const ft_weight_norm_params* p);
void ft_weight_norm_f32_hwy(const void* params, const ft_args* args);
void ft_weight_norm_s8_hwy(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_WEIGHT_NORM_H_ */
