#include "kernels/unary/unary.h"
#include "kernels/unary/unary_math.h"

void FT_NAME(unary)(const void* params, const ft_args* args) {
  const ft_unary_params* p = (const ft_unary_params*)params;
  const ft_real* x = (const ft_real*)args->in[0];
  ft_real* y = (ft_real*)args->out[0];
  const int32_t n = p->count;
  const ft_real half = FT_R(0.5), alpha = p->alpha;
  int32_t i;
#define FT_EACH(expression) \
  for (i = 0; i < n; ++i) { \
    const ft_real v = x[i]; \
    y[i] = (expression);    \
  }                         \
  break
  switch (p->kind) {
    case FT_UNARY_RELU: FT_EACH(ft_apply_act(v, FT_ACT_RELU));
    case FT_UNARY_RELU6: FT_EACH(ft_apply_act(v, FT_ACT_RELU6));
    case FT_UNARY_RELU_N1: FT_EACH(ft_apply_act(v, FT_ACT_RELU_N1));
    case FT_UNARY_LEAKY_RELU: FT_EACH(v > 0 ? v : alpha * v);
    case FT_UNARY_HARD_SWISH: FT_EACH(ft_hard_swish(v));
    case FT_UNARY_LOGISTIC: FT_EACH(ft_logistic(v));
    case FT_UNARY_TANH: FT_EACH(FT_TANH(v));
    case FT_UNARY_GELU: FT_EACH(v * ft_normal_cdf(v));
    case FT_UNARY_GELU_TANH: FT_EACH(half * v * (1 + ft_gelu_tanh(v)));
    case FT_UNARY_EXP: FT_EACH(FT_EXP(v));
    case FT_UNARY_LOG: FT_EACH(FT_LOG(v));
    case FT_UNARY_SQRT: FT_EACH(FT_SQRT(v));
    case FT_UNARY_RSQRT: FT_EACH(1 / FT_SQRT(v));
    case FT_UNARY_SQUARE: FT_EACH(v * v);
    case FT_UNARY_ABS: FT_EACH(FT_FABS(v));
    case FT_UNARY_NEG: FT_EACH(-v);
    case FT_UNARY_SILU: FT_EACH(v * ft_logistic(v));
    case FT_UNARY_ELU: FT_EACH(v > 0 ? v : alpha * ft_expm1(v));
  }
#undef FT_EACH
}
