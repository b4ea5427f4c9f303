/* Elementary functions with the same bits on every machine.
 *
 * Only +, -, *, / and square root of IEEE binary32, in a fixed order, without
 * contraction (compile with -ffp-contract=off). The error that each line states
 * is the largest over all floats, measured by ft_math_test.cc with
 * FT_EXHAUSTIVE=1. */
#ifndef FT_KERNELS_MATH_FT_MATH_H_
#define FT_KERNELS_MATH_FT_MATH_H_

#ifdef __cplusplus
extern "C" {
#endif

float ft_expf(float x);   /* 1.03 ulp; 0 below -103.98, inf above 88.73 */
float ft_logf(float x);   /* 0.84 ulp; natural; -inf at 0, NaN below */
float ft_tanhf(float x);  /* 1.34 ulp */
float ft_erff(float x);   /* 1.33 ulp */
float ft_sqrtf(float x);  /* correctly rounded */
float ft_rsqrtf(float x); /* 1.49 ulp; 1 / ft_sqrtf(x), two roundings */
float ft_fabsf(float x);

#ifdef __cplusplus
}
#endif
#endif /* FT_KERNELS_MATH_FT_MATH_H_ */
