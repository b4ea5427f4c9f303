#include "kernels/hwy_targets.h"
#include "kernels/softmax/softmax.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax/softmax_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

// The sum stays in index order, element by element, as in the C99 row.
void softmax_f32(const ft_softmax_params& p, const float* x, float* y) {
  const int32_t n = p.cols;
  for (int32_t r = 0; r < p.rows; ++r, x += n, y += n) {
    float max = x[0], sum = 0;
    for (int32_t j = 1; j < n; ++j) max = x[j] > max ? x[j] : max;
    for_lanes(n, [&](auto d, int32_t j) HWY_ATTR {
      const auto t = hn::Sub(hn::LoadU(d, x + j), hn::Set(d, max));
      hn::StoreU(exp_exact(d, hn::Mul(t, hn::Set(d, p.beta))), d, y + j);
    });
    for (int32_t j = 0; j < n; ++j) sum += y[j];
    for_lanes(n, [&](auto d, int32_t j) HWY_ATTR {
      hn::StoreU(hn::Div(hn::LoadU(d, y + j), hn::Set(d, sum)), d, y + j);
    });
  }
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(softmax_f32);
}  // namespace ft

void ft_softmax_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(softmax_f32)
  (*static_cast<const ft_softmax_params*>(params),
   static_cast<const float*>(args->in[0]), static_cast<float*>(args->out[0]));
}
#endif  // HWY_ONCE
