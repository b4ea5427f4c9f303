#include "kernels/hwy_targets.h"
#include "kernels/unary/unary.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/unary/unary_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

template <class D, class V = hn::Vec<D>>
HWY_INLINE V hard_swish(D d, V x) {
  const V t = apply_act(d, hn::Add(x, hn::Set(d, 3.0f)), FT_ACT_RELU6);
  return hn::Div(hn::Mul(x, t), hn::Set(d, 6.0f));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V leaky_relu(D d, V x, float alpha) {
  return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x,
                        hn::Mul(hn::Set(d, alpha), x));
}

template <class Function>
HWY_INLINE void run_each(int32_t n, const float* x, float* y,
                         const Function& function) {
  for_lanes(n, [&](auto d, int32_t i) HWY_ATTR {
    hn::StoreU(function(d, hn::LoadU(d, x + i)), d, y + i);
  });
}

#define FT_EACH(expression)                              \
  run_each(p.count, x, y, [&](auto d, auto v) HWY_ATTR { \
    (void)d;                                             \
    return expression;                                   \
  })

void unary_f32(const ft_unary_params& p, const float* x, float* y) {
  switch (p.kind) {
    case FT_UNARY_RELU: return FT_EACH(apply_act(d, v, FT_ACT_RELU));
    case FT_UNARY_RELU6: return FT_EACH(apply_act(d, v, FT_ACT_RELU6));
    case FT_UNARY_RELU_N1: return FT_EACH(apply_act(d, v, FT_ACT_RELU_N1));
    case FT_UNARY_LEAKY_RELU: return FT_EACH(leaky_relu(d, v, p.alpha));
    case FT_UNARY_HARD_SWISH: return FT_EACH(hard_swish(d, v));
    case FT_UNARY_LOGISTIC: return FT_EACH(logistic(d, v));
    case FT_UNARY_TANH: return FT_EACH(tanh_exact(d, v));
    case FT_UNARY_EXP: return FT_EACH(exp_exact(d, v));
    case FT_UNARY_SILU: return FT_EACH(hn::Mul(v, logistic(d, v)));
    case FT_UNARY_SQUARE: return FT_EACH(hn::Mul(v, v));
    default: return FT_EACH(hn::Neg(v));
  }
}
#undef FT_EACH

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(unary_f32);
}  // namespace ft

int ft_unary_f32_hwy_accepts(const ft_unary_params* p) {
  switch (p->kind) {
    case FT_UNARY_RELU:
    case FT_UNARY_RELU6:
    case FT_UNARY_RELU_N1:
    case FT_UNARY_LEAKY_RELU:
    case FT_UNARY_HARD_SWISH:
    case FT_UNARY_LOGISTIC:
    case FT_UNARY_TANH:
    case FT_UNARY_EXP:
    case FT_UNARY_SILU:
    case FT_UNARY_SQUARE:
    case FT_UNARY_NEG: return 1;
    default: return 0;
  }
}

void ft_unary_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(unary_f32)
  (*static_cast<const ft_unary_params*>(params),
   static_cast<const float*>(args->in[0]), static_cast<float*>(args->out[0]));
}
#endif  // HWY_ONCE
