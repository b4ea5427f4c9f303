/* Lets one C99 source serve two precisions.
 *
 * A float kernel is written with ft_real and FT_NAME(op); the build compiles
 * it once as ft_<op>_f32_c99 and, with FT_REAL_IS_DOUBLE, once more as
 * ft_<op>_f64_c99, the row that the finite-difference tests run on. Declare
 * both in the op's header with FT_DECLARE_REAL(op). */
#ifndef FT_KERNELS_REAL_H_
#define FT_KERNELS_REAL_H_

#include "kernels/kernel.h"
#include "kernels/math/ft_math.h"

#ifdef FT_REAL_IS_DOUBLE
typedef double ft_real;
#define FT_NAME(op) ft_##op##_f64_c99
#define FT_R(x) x
#define FT_EXP(x) exp(x)
#define FT_LOG(x) log(x)
#define FT_TANH(x) tanh(x)
#define FT_ERF(x) erf(x)
#define FT_SQRT(x) sqrt(x)
#define FT_FABS(x) fabs(x)
#include <math.h>
#else
typedef float ft_real;
#define FT_NAME(op) ft_##op##_f32_c99
#define FT_R(x) x##f /* literal of the precision: FT_R(0.5) */
#define FT_EXP(x) ft_expf(x)
#define FT_LOG(x) ft_logf(x)
#define FT_TANH(x) ft_tanhf(x)
#define FT_ERF(x) ft_erff(x)
#define FT_SQRT(x) ft_sqrtf(x)
#define FT_FABS(x) ft_fabsf(x)
#endif

/* Clamp of a fused activation. */
static inline ft_real ft_apply_act(ft_real v, int32_t act) {
  if (act == FT_ACT_NONE) return v;
  if (act == FT_ACT_RELU_N1) return v < -1 ? -1 : (v > 1 ? 1 : v);
  if (v < 0) return 0;
  return act == FT_ACT_RELU6 && v > 6 ? 6 : v;
}

#endif /* FT_KERNELS_REAL_H_ */
