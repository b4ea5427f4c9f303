/* The gradient loops. The includer defines FT_FN (symbol), FT_SAVED (element
 * type of `saved`) and FT_SAVED_AT(v) (its real value, as ft_real). */
#include "kernels/unary/unary.h"
#include "kernels/unary/unary_math.h"

/* 1/sqrt(2 pi) e^(-x^2/2) */
static ft_real normal_density(ft_real x) {
  return FT_R(0.39894228040143268) * FT_EXP(FT_R(-0.5) * x * x);
}

static ft_real gelu_tanh_slope(ft_real x) {
  const ft_real t = ft_gelu_tanh(x);
  const ft_real inner =
      FT_R(0.79788456080286536) * (1 + FT_R(0.134145) * x * x);
  return FT_R(0.5) * (1 + t) + FT_R(0.5) * x * (1 - t * t) * inner;
}

static ft_real silu_slope(ft_real x) {
  const ft_real s = ft_logistic(x);
  return s * (1 + x * (1 - s));
}

static ft_real hard_swish_slope(ft_real x) {
  if (x <= -3) return 0;
  return x >= 3 ? 1 : (2 * x + 3) / 6;
}

void FT_FN(const void* params, const ft_args* args) {
  const ft_unary_params* p = (const ft_unary_params*)params;
  const ft_real* dy = (const ft_real*)args->in[0];
  const FT_SAVED* saved = (const FT_SAVED*)args->in[1];
  ft_real* dx = (ft_real*)args->out[0];
  const int32_t n = p->count;
  const ft_real half = FT_R(0.5), alpha = p->alpha;
  int32_t i;
#define FT_EACH(slope)                       \
  for (i = 0; i < n; ++i) {                  \
    const ft_real v = FT_SAVED_AT(saved[i]); \
    dx[i] = dy[i] * (slope);                 \
  }                                          \
  break
  switch (p->kind) {
    case FT_UNARY_LEAKY_RELU: FT_EACH(v > 0 ? 1 : alpha);
    case FT_UNARY_HARD_SWISH: FT_EACH(hard_swish_slope(v));
    case FT_UNARY_LOGISTIC: FT_EACH(v * (1 - v));
    case FT_UNARY_TANH: FT_EACH(1 - v * v);
    case FT_UNARY_GELU: FT_EACH(ft_normal_cdf(v) + v * normal_density(v));
    case FT_UNARY_GELU_TANH: FT_EACH(gelu_tanh_slope(v));
    case FT_UNARY_EXP: FT_EACH(v);
    case FT_UNARY_LOG: FT_EACH(1 / v);
    case FT_UNARY_SQRT: FT_EACH(half / v);
    case FT_UNARY_RSQRT: FT_EACH(-half * (v * v * v));
    case FT_UNARY_SQUARE: FT_EACH(2 * v);
    case FT_UNARY_ABS: FT_EACH(v > 0 ? 1 : (v < 0 ? -1 : 0));
    case FT_UNARY_SILU: FT_EACH(silu_slope(v));
    case FT_UNARY_ELU: FT_EACH(v > 0 ? 1 : v + alpha);
  }
#undef FT_EACH
}
