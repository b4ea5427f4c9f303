#include "kernels/adamw_update/adamw_update.h"
#include "kernels/hwy_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adamw_update/adamw_update_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

void adamw_entries(const ft_adamw_update_params& p, const float* hyper,
                   const float* grad, float* param, float* m, float* v) {
  const float lr = hyper[0], c2 = hyper[2];
  const float keep = 1 - lr * p.weight_decay, step = lr * hyper[1];
  for_lanes(p.count, [&](auto d, int32_t i) HWY_ATTR {
    const auto g = hn::LoadU(d, grad + i);
    auto mi = hn::LoadU(d, m + i), vi = hn::LoadU(d, v + i);
    mi = hn::Add(mi, hn::Mul(hn::Set(d, p.one_minus_beta1), hn::Sub(g, mi)));
    vi = hn::Add(hn::Mul(hn::Set(d, p.beta2), vi),
                 hn::Mul(hn::Set(d, p.one_minus_beta2), hn::Mul(g, g)));
    const auto deviation =
        hn::Add(hn::Sqrt(hn::Mul(vi, hn::Set(d, c2))), hn::Set(d, p.eps));
    const auto kept = hn::Mul(hn::LoadU(d, param + i), hn::Set(d, keep));
    const auto x =
        hn::Sub(kept, hn::Mul(hn::Set(d, step), hn::Div(mi, deviation)));
    hn::StoreU(mi, d, m + i);
    hn::StoreU(vi, d, v + i);
    hn::StoreU(x, d, param + i);
  });
}

void adamw_update_f32(const ft_adamw_update_params& p, const ft_args& args) {
  const auto* hyper = static_cast<const float*>(args.in[4]);
  if (hyper[3] != 0) return;
  adamw_entries(p, hyper, static_cast<const float*>(args.in[1]),
                static_cast<float*>(args.in[0]),
                static_cast<float*>(args.in[2]),
                static_cast<float*>(args.in[3]));
}

// Row by row of the gradient, which the scratch has room for.
void outer_adamw_update_f32(const ft_adamw_update_params& p,
                            const ft_args& args) {
  auto* param = static_cast<float*>(args.in[0]);
  const auto* dy = static_cast<const float*>(args.in[1]);
  const auto* x = static_cast<const float*>(args.in[2]);
  auto* m = static_cast<float*>(args.in[3]);
  auto* v = static_cast<float*>(args.in[4]);
  const auto* hyper = static_cast<const float*>(args.in[5]);
  auto* grad = static_cast<float*>(args.scratch);
  if (hyper[3] != 0) return;
  ft_adamw_update_params row = p;
  row.count = p.count / p.kept;
  for (int32_t j = 0; j < p.kept; ++j) {
    scale_row(row.count, dy[j], x, grad);
    adamw_entries(row, hyper, grad, param, m, v);
    param += row.count;
    m += row.count;
    v += row.count;
  }
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(adamw_update_f32);
HWY_EXPORT(outer_adamw_update_f32);
}  // namespace ft

void ft_adamw_update_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(adamw_update_f32)
  (*static_cast<const ft_adamw_update_params*>(params), *args);
}

void ft_outer_adamw_update_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(outer_adamw_update_f32)
  (*static_cast<const ft_adamw_update_params*>(params), *args);
}
#endif  // HWY_ONCE
