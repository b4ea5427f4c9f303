// int8 averages, a lane for each channel.
#include "kernels/hwy_targets.h"
#include "kernels/pool2d/pool2d.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/pool2d/avg_pool2d_s8_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

// sum / count, half away from zero, clamped. In float: a quotient that is no
// whole number is at least 1 / count away from the next one, farther than it
// is rounded as long as sums fit 24 bits.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V average(D d, const ft_pool2d_params& p, V sum, int32_t count) {
  const hn::RebindToFloat<D> real;
  const V half = hn::Set(d, count / 2);
  sum = hn::Add(sum,
                hn::IfThenElse(hn::Gt(sum, hn::Zero(d)), half, hn::Neg(half)));
  const auto quotient = hn::Div(hn::ConvertTo(real, sum),
                                hn::Set(real, static_cast<float>(count)));
  const V q = hn::ConvertTo(d, quotient);
  return hn::Min(hn::Max(q, hn::Set(d, p.act_min)), hn::Set(d, p.act_max));
}

// kVectors vectors of channels of one window.
template <int kVectors, class D>
HWY_INLINE void average_channels(D d, const ft_pool2d_params& p,
                                 const ft_pool2d_window& win, const int8_t* x,
                                 int8_t* y) {
  const hn::Rebind<int8_t, D> d8;
  const auto lanes = static_cast<int32_t>(hn::Lanes(d));
  hn::Vec<D> sum[kVectors];
  FT_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] = hn::Zero(d);
  for (int32_t iy = win.y0; iy < win.y1; ++iy) {
    const int8_t* from = x + (iy * p.w + win.x0) * p.c;
    for (int32_t ix = win.x0; ix < win.x1; ++ix, from += p.c) {
      FT_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] =
          hn::Add(sum[v], hn::PromoteTo(d, hn::LoadU(d8, from + v * lanes)));
    }
  }
  const int32_t count = (win.y1 - win.y0) * (win.x1 - win.x0);
  FT_UNROLL for (int v = 0; v < kVectors; ++v) hn::StoreU(
      hn::DemoteTo(d8, average(d, p, sum[v], count)), d8, y + v * lanes);
}

HWY_INLINE void average_window(const ft_pool2d_params& p,
                               const ft_pool2d_window& win, const int8_t* x,
                               int8_t* y) {
  const hn::CappedTag<int32_t, 16> full;
  const hn::CappedTag<int32_t, 1> single;
  const auto lanes = static_cast<int32_t>(hn::Lanes(full));
  int32_t c = 0;
  for (; c + 4 * lanes <= p.c; c += 4 * lanes)
    average_channels<4>(full, p, win, x + c, y + c);
  for (; c + lanes <= p.c; c += lanes)
    average_channels<1>(full, p, win, x + c, y + c);
  for (; c < p.c; ++c) average_channels<1>(single, p, win, x + c, y + c);
}

void avg_pool2d_s8(const ft_pool2d_params& p, const int8_t* x, int8_t* y) {
  for (int32_t b = 0; b < p.n; ++b, x += p.h * p.w * p.c)
    for (int32_t oy = 0; oy < p.oh; ++oy)
      for (int32_t ox = 0; ox < p.ow; ++ox, y += p.c)
        average_window(p, ft_pool2d_window_at(&p, oy, ox), x, y);
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(avg_pool2d_s8);
}  // namespace ft

int ft_avg_pool2d_s8_hwy_accepts(const ft_pool2d_params* p) {
  return static_cast<int64_t>(p->filter_h) * p->filter_w <= 1 << 15;
}

void ft_avg_pool2d_s8_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(avg_pool2d_s8)
  (*static_cast<const ft_pool2d_params*>(params),
   static_cast<const int8_t*>(args->in[0]), static_cast<int8_t*>(args->out[0]));
}
#endif  // HWY_ONCE
