#include "kernels/activation_grad/activation_grad.h"
#include "kernels/hwy_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation_grad/activation_grad_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

void activation_grad_f32(const ft_activation_grad_params& p, const float* dy,
                         const float* y, float* dx) {
  for_lanes(p.count, [&](auto d, int32_t i) HWY_ATTR {
    const auto v = hn::LoadU(d, y + i);
    const auto inside =
        hn::And(hn::Gt(v, hn::Set(d, p.low)), hn::Lt(v, hn::Set(d, p.high)));
    hn::StoreU(hn::IfThenElseZero(inside, hn::LoadU(d, dy + i)), d, dx + i);
  });
}

void activation_grad_f32s8(const ft_activation_grad_params& p, const float* dy,
                           const int8_t* y, float* dx) {
  for_lanes(p.count, [&](auto d, int32_t i) HWY_ATTR {
    const hn::RebindToSigned<decltype(d)> d32;
    const hn::Rebind<int8_t, decltype(d)> d8;
    const auto q = hn::PromoteTo(d32, hn::LoadU(d8, y + i));
    const auto inside = hn::And(hn::Gt(q, hn::Set(d32, p.q_low)),
                                hn::Lt(q, hn::Set(d32, p.q_high)));
    hn::StoreU(
        hn::IfThenElseZero(hn::RebindMask(d, inside), hn::LoadU(d, dy + i)), d,
        dx + i);
  });
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(activation_grad_f32);
HWY_EXPORT(activation_grad_f32s8);
}  // namespace ft

void ft_activation_grad_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(activation_grad_f32)
  (*static_cast<const ft_activation_grad_params*>(params),
   static_cast<const float*>(args->in[0]),
   static_cast<const float*>(args->in[1]), static_cast<float*>(args->out[0]));
}

void ft_activation_grad_f32s8_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(activation_grad_f32s8)
  (*static_cast<const ft_activation_grad_params*>(params),
   static_cast<const float*>(args->in[0]),
   static_cast<const int8_t*>(args->in[1]), static_cast<float*>(args->out[0]));
}
#endif  // HWY_ONCE
