#include <cfloat>

#include "kernels/depthwise_conv2d/depthwise3x3.h"
#include "kernels/hwy_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/depthwise_conv2d/depthwise3x3_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {
namespace {  // other files have functions of these names
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using V = hn::Vec<Tag>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(Tag()));

HWY_INLINE V load_real(const float* x, V) { return hn::LoadU(Tag(), x); }
HWY_INLINE V load_real(const int8_t* x, V zero_point) {
  const hn::Rebind<int8_t, Tag> d8;
  const hn::Rebind<int32_t, Tag> d32;
  const V q = hn::ConvertTo(Tag(), hn::PromoteTo(d32, hn::LoadU(d8, x)));
  return hn::Sub(q, zero_point);
}

// Three rows of an image at one vector of channels; nullptr: outside.
template <class X>
struct Rows {
  const X* row[3];
  int width, stride;
  V zero_point;
};

template <class X>
HWY_INLINE Rows<X> rows_at(const X* image, int height, int width, int channels,
                           int y0, int c, V zero_point) {
  // Not default-constructed: GCC refuses that of vectors outside of functions.
  Rows<X> r{{}, width, channels, zero_point};
  for (int k = 0; k < 3; ++k) {
    const int y = y0 + k;
    const bool inside = y >= 0 && y < height;
    r.row[k] = inside ? image + static_cast<ptrdiff_t>(y) * width * channels + c
                      : nullptr;
  }
  return r;
}

template <class X>
HWY_INLINE V column(const Rows<X>& r, int k, int x) {
  if (!r.row[k] || x < 0 || x >= r.width) return hn::Zero(Tag());
  return load_real(r.row[k] + static_cast<ptrdiff_t>(x) * r.stride,
                   r.zero_point);
}

// One output row of one vector of channels.
HWY_INLINE void run_row(const Depthwise3x3& g, const Rows<float>& r,
                        const V (&w)[9], V bias, V low, V high, float* out) {
  const Tag d;
  V left[3], middle[3];
  FT_UNROLL for (int k = 0; k < 3; ++k) {
    left[k] = column(r, k, -g.pad_left);
    middle[k] = column(r, k, 1 - g.pad_left);
  }
  for (int x = 0; x < g.out_w; ++x, out += g.channels) {
    // Three chains of sums, to hide the latency of multiply-add.
    V sum[3];
    FT_UNROLL for (int k = 0; k < 3; ++k) {
      const V right = column(r, k, x + 2 - g.pad_left);
      sum[k] = hn::MulAdd(left[k], w[3 * k], k == 0 ? bias : hn::Zero(d));
      sum[k] = hn::MulAdd(middle[k], w[3 * k + 1], sum[k]);
      sum[k] = hn::MulAdd(right, w[3 * k + 2], sum[k]);
      left[k] = middle[k];
      middle[k] = right;
    }
    V v = hn::Add(hn::Add(sum[0], sum[1]), sum[2]);
    v = hn::IfThenElse(hn::Lt(v, low), low, v);
    hn::StoreU(hn::IfThenElse(hn::Gt(v, high), high, v), d, out);
  }
}

void run(const Depthwise3x3& g) {
  const Tag d;
  const bool one = g.act == FT_ACT_RELU_N1, none = g.act == FT_ACT_NONE;
  const float infinity = __builtin_huge_valf();
  const V low = hn::Set(d, none ? -infinity : (one ? -1.0f : 0.0f));
  const V high =
      hn::Set(d, one ? 1.0f : (g.act == FT_ACT_RELU6 ? 6.0f : infinity));
  const ptrdiff_t in_size =
      static_cast<ptrdiff_t>(g.in_h) * g.in_w * g.channels;
  const ptrdiff_t out_row = static_cast<ptrdiff_t>(g.out_w) * g.channels;
  for (int c = 0; c < g.channels; c += kLanes) {
    V w[9];
    FT_UNROLL for (int k = 0; k < 9; ++k) w[k] =
        hn::LoadU(d, g.w + k * g.channels + c);
    const V bias = g.bias ? hn::LoadU(d, g.bias + c) : hn::Zero(d);
    float* out = g.out + c;
    for (int n = 0; n < g.batch; ++n) {
      for (int y = 0; y < g.out_h; ++y, out += out_row) {
        const Rows<float> r =
            rows_at(g.in + n * in_size, g.in_h, g.in_w, g.channels,
                    y - g.pad_top, c, hn::Zero(d));
        run_row(g, r, w, bias, low, high, out);
      }
    }
  }
}

// Adds one row of dy times the three rows of x.
template <class X>
HWY_INLINE void add_row(const ft_conv_params& p, const Rows<X>& r,
                        const float* dy, V (&sum)[9]) {
  const Tag d;
  V left[3], middle[3];
  FT_UNROLL for (int k = 0; k < 3; ++k) {
    left[k] = column(r, k, -p.pad_left);
    middle[k] = column(r, k, 1 - p.pad_left);
  }
  for (int x = 0; x < p.out_w; ++x, dy += p.out_c) {
    const V g = hn::LoadU(d, dy);
    FT_UNROLL for (int k = 0; k < 3; ++k) {
      const V right = column(r, k, x + 2 - p.pad_left);
      sum[3 * k] = hn::MulAdd(left[k], g, sum[3 * k]);
      sum[3 * k + 1] = hn::MulAdd(middle[k], g, sum[3 * k + 1]);
      sum[3 * k + 2] = hn::MulAdd(right, g, sum[3 * k + 2]);
      left[k] = middle[k];
      middle[k] = right;
    }
  }
}

template <class X>
HWY_INLINE void weight_grad(const ft_conv_params& p, const X* x,
                            const float* dy, float* dw) {
  const Tag d;
  const V zero_point = hn::Set(d, static_cast<float>(p.x_zero_point));
  const ptrdiff_t in_size = static_cast<ptrdiff_t>(p.in_h) * p.in_w * p.in_c;
  const ptrdiff_t out_row = static_cast<ptrdiff_t>(p.out_w) * p.out_c;
  for (int c = 0; c < p.out_c; c += kLanes) {
    V sum[9];
    FT_UNROLL for (int k = 0; k < 9; ++k) sum[k] = hn::Zero(d);
    const float* g = dy + c;
    for (int n = 0; n < p.batch; ++n) {
      for (int y = 0; y < p.out_h; ++y, g += out_row) {
        const Rows<X> r = rows_at(x + n * in_size, p.in_h, p.in_w, p.in_c,
                                  y - p.pad_top, c, zero_point);
        add_row(p, r, g, sum);
      }
    }
    FT_UNROLL for (int k = 0; k < 9; ++k) hn::StoreU(
        hn::Mul(sum[k], hn::Set(d, p.x_scale)), d, dw + k * p.out_c + c);
  }
}

void weight_grad_f32(const ft_conv_params& p, const float* x, const float* dy,
                     float* dw) {
  weight_grad(p, x, dy, dw);
}
void weight_grad_s8(const ft_conv_params& p, const int8_t* x, const float* dy,
                    float* dw) {
  weight_grad(p, x, dy, dw);
}

int lanes() { return kLanes; }

}  // namespace
}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {

HWY_EXPORT(run);
HWY_EXPORT(weight_grad_f32);
HWY_EXPORT(weight_grad_s8);
HWY_EXPORT(lanes);

bool is_depthwise3x3(const ft_conv_params& p) {
  return p.in_c == p.out_c && p.k_h == 3 && p.k_w == 3 && p.stride_h == 1 &&
         p.stride_w == 1 && p.dilation_h == 1 && p.dilation_w == 1 &&
         p.out_c % HWY_DYNAMIC_DISPATCH(lanes)() == 0;
}

void depthwise3x3(const Depthwise3x3& args) { HWY_DYNAMIC_DISPATCH(run)(args); }

void depthwise3x3_weight_grad(const ft_conv_params& p, const float* x,
                              const float* dy, float* dw) {
  HWY_DYNAMIC_DISPATCH(weight_grad_f32)(p, x, dy, dw);
}
void depthwise3x3_weight_grad(const ft_conv_params& p, const int8_t* x,
                              const float* dy, float* dw) {
  HWY_DYNAMIC_DISPATCH(weight_grad_s8)(p, x, dy, dw);
}

}  // namespace ft
#endif  // HWY_ONCE
