// Residual additions with the bits of their C99 rows.
#include "kernels/hwy_targets.h"
#include "kernels/residual_add/residual_add.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/residual_add/residual_add_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

void residual_add_f32(const ft_residual_add_params& p, const float* x,
                      const float* u, float* y) {
  for_lanes(p.count, [&](auto d, int32_t i) HWY_ATTR {
    hn::StoreU(hn::Add(hn::LoadU(d, x + i), hn::LoadU(d, u + i)), d, y + i);
  });
}

// ft_round_to_acc() of kernels/quant/low_rank.h, as a float: whole numbers of
// this size are exact.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V round_to_acc(D d, V v) {
  const V limit = hn::Set(d, 1073741824.0f), low = hn::Neg(limit);
  V t = hn::Add(v, hn::Set(d, 0.5f));
  t = hn::IfThenElse(hn::Gt(t, low), t, low);  // NaN too
  return hn::Floor(hn::IfThenElse(hn::Gt(t, limit), limit, t));
}

void residual_add_s8f32(const ft_residual_add_params& p, const int8_t* x,
                        const float* u, int8_t* y) {
  for_lanes(p.count, [&](auto d, int32_t i) HWY_ATTR {
    const hn::RebindToSigned<decltype(d)> d32;
    const hn::Rebind<int8_t, decltype(d)> d8;
    const auto steps = hn::ConvertTo(
        d32,
        round_to_acc(d, hn::Mul(hn::LoadU(d, u + i), hn::Set(d, p.inv_scale))));
    const auto sum = hn::Add(hn::PromoteTo(d32, hn::LoadU(d8, x + i)), steps);
    hn::StoreU(hn::DemoteTo(d8, sum), d8, y + i);  // saturates
  });
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
namespace {
HWY_EXPORT(residual_add_f32);
HWY_EXPORT(residual_add_s8f32);
}  // namespace
}  // namespace ft

void ft_residual_add_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(residual_add_f32)
  (*static_cast<const ft_residual_add_params*>(params),
   static_cast<const float*>(args->in[0]),
   static_cast<const float*>(args->in[1]), static_cast<float*>(args->out[0]));
}

void ft_residual_add_s8f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(residual_add_s8f32)
  (*static_cast<const ft_residual_add_params*>(params),
   static_cast<const int8_t*>(args->in[0]),
   static_cast<const float*>(args->in[1]), static_cast<int8_t*>(args->out[0]));
}
#endif  // HWY_ONCE
