// The exponentials as vectors; sums stay in index order, as in the C99 rows.
#include "kernels/hwy_targets.h"
#include "kernels/math/ft_math.h"
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE \
  "kernels/softmax_cross_entropy/softmax_cross_entropy_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

using Params = ft_softmax_cross_entropy_params;

HWY_INLINE bool is_known(const Params& p, int32_t label) {
  return label >= 0 && label < p.classes;
}

HWY_INLINE float known_rows(const Params& p, const int32_t* labels) {
  int32_t n = 0;
  for (int32_t i = 0; i < p.rows; ++i) n += is_known(p, labels[i]);
  return static_cast<float>(n > 0 ? n : 1);
}

HWY_INLINE float max_of(const float* x, int32_t n) {
  float max = x[0];
  for (int32_t j = 1; j < n; ++j) max = x[j] > max ? x[j] : max;
  return max;
}

// y = e^(x - max); y may be x.
HWY_INLINE void exps(const float* x, float max, int32_t n, float* y) {
  for_lanes(n, [&](auto d, int32_t j) HWY_ATTR {
    const auto t = hn::Sub(hn::LoadU(d, x + j), hn::Set(d, max));
    hn::StoreU(exp_exact(d, t), d, y + j);
  });
}

void loss_f32(const Params& p, const float* x, const int32_t* labels,
              float* loss) {
  constexpr int32_t kChunk = 256;
  float chunk[kChunk], total = 0;
  for (int32_t i = 0; i < p.rows; ++i, x += p.classes) {
    if (!is_known(p, labels[i])) continue;
    const float max = max_of(x, p.classes);
    float sum = 0;
    for (int32_t j = 0; j < p.classes; j += kChunk) {
      const int32_t n = HWY_MIN(kChunk, p.classes - j);
      exps(x + j, max, n, chunk);
      for (int32_t k = 0; k < n; ++k) sum += chunk[k];
    }
    total += ft_logf(sum) + (max - x[labels[i]]);
  }
  loss[0] = total / known_rows(p, labels);
}

void loss_grad_f32(const Params& p, const float* x, const int32_t* labels,
                   float dloss, float* dx) {
  const int32_t n = p.classes;
  const float scale = dloss / known_rows(p, labels);
  for (int32_t i = 0; i < p.rows; ++i, x += n, dx += n) {
    if (!is_known(p, labels[i])) {
      for (int32_t j = 0; j < n; ++j) dx[j] = 0;
      continue;
    }
    float sum = 0;
    exps(x, max_of(x, n), n, dx);
    for (int32_t j = 0; j < n; ++j) sum += dx[j];
    const float of_label = dx[labels[i]];
    for_lanes(n, [&](auto d, int32_t j) HWY_ATTR {
      const auto y = hn::Div(hn::LoadU(d, dx + j), hn::Set(d, sum));
      hn::StoreU(hn::Mul(y, hn::Set(d, scale)), d, dx + j);
    });
    dx[labels[i]] = (of_label / sum - 1) * scale;
  }
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(loss_f32);
HWY_EXPORT(loss_grad_f32);
}  // namespace ft

void ft_softmax_cross_entropy_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(loss_f32)
  (*static_cast<const ft_softmax_cross_entropy_params*>(params),
   static_cast<const float*>(args->in[0]),
   static_cast<const int32_t*>(args->in[1]), static_cast<float*>(args->out[0]));
}

void ft_softmax_cross_entropy_grad_f32_hwy(const void* params,
                                           const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(loss_grad_f32)
  (*static_cast<const ft_softmax_cross_entropy_params*>(params),
   static_cast<const float*>(args->in[0]),
   static_cast<const int32_t*>(args->in[1]),
   static_cast<const float*>(args->in[2])[0],
   static_cast<float*>(args->out[0]));
}
#endif  // HWY_ONCE
