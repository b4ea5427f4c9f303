#include "kernels/broadcast_to/broadcast_to.h"
#include "kernels/hwy_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/broadcast_to/broadcast_to_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

void broadcast_to_f32(const ft_broadcast_to_params& p, const float* x,
                      float* y) {
  const ft_strided_pair& pair = p.pair;
  const int32_t rows = ft_num_rows(&pair), last = pair.rank - 1;
  const int32_t n = pair.dims[last];
  const bool repeats = pair.a_stride[last] == 0;
  ft_row row = {{0}, 0, 0};
  for (int32_t r = 0; r < rows; ++r, y += n) {
    const float* from = x + row.a;
    const float first = p.scale * from[0];
    for_lanes(n, [&](auto d, int32_t i) HWY_ATTR {
      hn::StoreU(repeats ? hn::Set(d, first)
                         : hn::Mul(hn::Set(d, p.scale), hn::LoadU(d, from + i)),
                 d, y + i);
    });
    ft_next_row(&pair, &row);
  }
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(broadcast_to_f32);
}  // namespace ft

void ft_broadcast_to_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(broadcast_to_f32)
  (*static_cast<const ft_broadcast_to_params*>(params),
   static_cast<const float*>(args->in[0]), static_cast<float*>(args->out[0]));
}
#endif  // HWY_ONCE
