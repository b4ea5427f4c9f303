// Sums and means of which neighbouring outputs have neighbouring elements (a
// bias gradient, a global average): a lane adds up one output, in index order.
#include "kernels/hwy_targets.h"
#include "kernels/reduce/reduce.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reduce/reduce_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

// `kVectors` vectors of outputs at once, so that each visit of a row reads a
// whole cache line or more.
template <int kVectors, class D>
HWY_INLINE void sum_columns(D d, const ft_reduce_params& p, const float* x,
                            float* y) {
  const auto lanes = static_cast<int32_t>(hn::Lanes(d));
  const int32_t run = p.reduced[3], step = p.reduced_stride[3];
  hn::Vec<D> sum[kVectors];
  FT_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] = hn::Zero(d);
  for (int32_t j = 0; j < p.count; j += run) {
    const float* from = x + ft_reduce_offset(&p, j);
    for (int32_t l = 0; l < run; ++l, from += step) {
      FT_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] =
          hn::Add(sum[v], hn::LoadU(d, from + v * lanes));
    }
  }
  const auto count = hn::Set(d, static_cast<float>(p.count));
  FT_UNROLL for (int v = 0; v < kVectors; ++v) {
    if (p.kind == FT_REDUCE_MEAN) sum[v] = hn::Div(sum[v], count);
    hn::StoreU(sum[v], d, y + v * lanes);
  }
}

void reduce_f32(const ft_reduce_params& p, const float* x, float* y) {
  const hn::CappedTag<float, 16> full;
  const hn::CappedTag<float, 1> single;
  const auto lanes = static_cast<int32_t>(hn::Lanes(full));
  const int32_t outputs = ft_reduce_outputs(&p), n = p.kept[3];
  for (int32_t i = 0; i < outputs; i += n, y += n) {
    const float* from = x + ft_reduce_base(&p, i);
    int32_t c = 0;
    for (; c + 4 * lanes <= n; c += 4 * lanes)
      sum_columns<4>(full, p, from + c, y + c);
    for (; c + lanes <= n; c += lanes) sum_columns<1>(full, p, from + c, y + c);
    for (; c < n; ++c) sum_columns<1>(single, p, from + c, y + c);
  }
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(reduce_f32);
}  // namespace ft

int ft_reduce_f32_hwy_accepts(const ft_reduce_params* p) {
  return p->kind != FT_REDUCE_MAX && p->kept_stride[3] == 1 && p->kept[3] >= 4;
}

void ft_reduce_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(reduce_f32)
  (*static_cast<const ft_reduce_params*>(params),
   static_cast<const float*>(args->in[0]), static_cast<float*>(args->out[0]));
}
#endif  // HWY_ONCE
