/* c[m, n] = alpha * op(a) op(b), `batch` times; op transposes or not.
 *
 * in:  a [batch, m, k] or, with trans_a, [batch, k, m]
 *      b [batch or 1, k, n] or, with trans_b, [batch or 1, n, k]
 * out: c [batch, m, n]
 * Sums run along k, from 0; that of k = 1 is the product itself. One of a and b
 * may be int8 (frozen weights, saved activations); it is then read as scale *
 * (q - zero_point). aux[0] holds its scales: one, one for each index along k,
 * or one for each row of c (a int8) or column of c (b int8), see `scale_axis`.
 * With both int8, c is int8 as TensorFlow Lite's BATCH_MATMUL: no aux, one
 * multiplier; alpha is folded into it. */
#ifndef FT_KERNELS_MATMUL_H_
#define FT_KERNELS_MATMUL_H_

#include "kernels/kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FT_SCALE_PER_TENSOR = 0, FT_SCALE_ALONG_K = 1, FT_SCALE_ALONG_MN = 2 };

typedef struct {
  int32_t batch, m, n, k;
  int32_t trans_a, trans_b;
  int32_t broadcast_b;                     /* 1: one b for the whole batch */
  int32_t a_zero_point, b_zero_point;      /* 0 for a float operand */
  int32_t scale_axis;                      /* FT_SCALE_*, of the int8 operand */
  int32_t multiplier, shift, y_zero_point; /* int8 outputs */
  float alpha;
} ft_matmul_params;

void ft_matmul_f32_c99(const void* params, const ft_args* args);
void ft_matmul_f64_c99(const void* params, const ft_args* args);
void ft_matmul_f32s8_c99(const void* params, const ft_args* args); /* b int8 */
void ft_matmul_s8f32_c99(const void* params, const ft_args* args); /* a int8 */
void ft_matmul_s8_c99(const void* params, const ft_args* args);

/* For an a, or a b, with many zeros. */
void ft_matmul_skip_a_f32_c99(const void* params, const ft_args* args);
void ft_matmul_skip_a_f64_c99(const void* params, const ft_args* args);
void ft_matmul_skip_a_f32s8_c99(const void* params, const ft_args* args);
void ft_matmul_skip_b_f32_c99(const void* params, const ft_args* args);
void ft_matmul_skip_b_f64_c99(const void* params, const ft_args* args);

/* Host row for an a with many zeros. */
int ft_matmul_skip_a_hwy_accepts(const ft_matmul_params* p);
size_t ft_matmul_skip_a_hwy_scratch_bytes(const ft_matmul_params* p);
void ft_matmul_skip_a_f32_hwy(const void* params, const ft_args* args);

/* Host rows. Those of Highway need this scratch. */
size_t ft_matmul_hwy_scratch_bytes(const ft_matmul_params* params);
void ft_matmul_f32_hwy(const void* params, const ft_args* args);
void ft_matmul_f32s8_hwy(const void* params, const ft_args* args);
void ft_matmul_f32_onednn(const void* params, const ft_args* args);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_MATMUL_H_ */
