#include "kernels/hwy_targets.h"
#include "kernels/sgd_update/sgd_update.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/sgd_update/sgd_update_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

void sgd_update_f32(const ft_sgd_update_params& p, float* param,
                    const float* grad, float lr, float* state) {
  for_lanes(p.count, [&](auto d, int32_t i) HWY_ATTR {
    const auto x = hn::LoadU(d, param + i);
    const auto momentum = hn::Set(d, p.momentum);
    auto g = hn::LoadU(d, grad + i);
    if (p.weight_decay != 0)
      g = hn::Add(g, hn::Mul(hn::Set(d, p.weight_decay), x));
    if (state) {
      const auto s = mul_then_add(momentum, hn::LoadU(d, state + i), g);
      hn::StoreU(s, d, state + i);
      g = p.nesterov ? hn::Add(g, hn::Mul(momentum, s)) : s;
    }
    hn::StoreU(hn::Sub(x, hn::Mul(hn::Set(d, lr), g)), d, param + i);
  });
}

// Row by row of the gradient, which `grad` has room for.
void outer_sgd_update_f32(const ft_sgd_update_params& p, const ft_args& args,
                          float* grad) {
  auto* param = static_cast<float*>(args.in[0]);
  const auto* dy = static_cast<const float*>(args.in[1]);
  const auto* x = static_cast<const float*>(args.in[2]);
  const float lr = *static_cast<const float*>(args.in[3]);
  auto* state = static_cast<float*>(args.in[4]);
  ft_sgd_update_params row = p;
  row.count = p.count / p.kept;
  for (int32_t j = 0; j < p.kept; ++j, param += row.count) {
    scale_row(row.count, dy[j], x, grad);
    sgd_update_f32(row, param, grad, lr, state);
    if (state) state += row.count;
  }
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(sgd_update_f32);
HWY_EXPORT(outer_sgd_update_f32);
}  // namespace ft

void ft_sgd_update_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  const auto* hyper = static_cast<const float*>(args->in[2]);
  if (hyper[3] != 0) return;
  HWY_DYNAMIC_DISPATCH(sgd_update_f32)
  (*static_cast<const ft_sgd_update_params*>(params),
   static_cast<float*>(args->in[0]), static_cast<const float*>(args->in[1]),
   hyper[0], static_cast<float*>(args->in[3]));
}

void ft_outer_sgd_update_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  if (static_cast<const float*>(args->in[3])[3] != 0) return;
  HWY_DYNAMIC_DISPATCH(outer_sgd_update_f32)
  (*static_cast<const ft_sgd_update_params*>(params), *args,
   static_cast<float*>(args->scratch));
}
#endif  // HWY_ONCE
