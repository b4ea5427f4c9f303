// Block-sparse convolutions by vectors of channels, for blocks of whole
// vectors. x is read where it lies: what is not kept costs nothing.
#include <algorithm>

#include "kernels/block_conv2d/block_conv2d.h"
#include "kernels/hwy_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/block_conv2d/block_conv2d_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {
namespace {  // other files have functions of these names
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, FT_BLOCK_LANES>;
using V = hn::Vec<Tag>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(Tag()));
constexpr int kOutputs = 4;  // that share what is read of x

HWY_INLINE V load(const float* x, V) { return hn::LoadU(Tag(), x); }

HWY_INLINE V load(const int8_t* x, V zero_point) {
  const hn::Rebind<int8_t, Tag> d8;
  const hn::Rebind<int32_t, Tag> d32;
  const V q = hn::ConvertTo(Tag(), hn::PromoteTo(d32, hn::LoadU(d8, x)));
  return hn::Sub(q, zero_point);
}

struct Sizes {
  int kept;       // channels under a kernel element
  ptrdiff_t row;  // weights of an output
};

HWY_INLINE Sizes sizes_of(const ft_block_conv2d_params& s) {
  const int kept = s.blocks * s.block;
  return {kept, static_cast<ptrdiff_t>(s.conv.k_h) * s.conv.k_w * kept};
}

// The windows of all output pixels, in order. Under a 1x1 kernel an image is
// one long row.
class Windows {
 public:
  explicit Windows(const ft_conv_params& p)
      : p_(p),
        pointwise_(p.k_h == 1 && p.k_w == 1 && p.stride_h == 1 &&
                   p.stride_w == 1 && p.pad_top == 0 && p.pad_left == 0 &&
                   p.out_h == p.in_h && p.out_w == p.in_w) {}

  HWY_INLINE ft_window next() {
    if (pointwise_) return {0, 0, pixel_++, 0, 1, 0, 1};
    const ft_window win = ft_cursor_window(&p_, &at_);
    ft_cursor_next(&p_, &at_);
    return win;
  }

 private:
  const ft_conv_params& p_;
  bool pointwise_;
  int pixel_ = 0;
  ft_cursor at_ = {0, 0, 0};
};

// The kept channels under one kernel element: y sums of products.
template <int kN, class X>
HWY_INLINE void dots(const ft_block_conv2d_params& s, const X* x,
                     const float* w, ptrdiff_t row, const int32_t* index,
                     V zero_point, V (&sum)[kN]) {
  for (int b = 0; b < s.blocks; ++b) {
    const X* from = x + ft_block_channel(&s, index, b);
    for (int c = 0; c < s.block; c += kLanes, w += kLanes) {
      const V v = load(from + c, zero_point);
      FT_UNROLL for (int j = 0; j < kN; ++j) sum[j] =
          hn::MulAdd(v, hn::LoadU(Tag(), w + j * row), sum[j]);
    }
  }
}

template <int kN, class X>
HWY_INLINE void outputs(const ft_block_conv2d_params& s, const ft_window& win,
                        const X* x, const float* w, const int32_t* index,
                        float* y) {
  const Tag d;
  const Sizes z = sizes_of(s);
  const V zero_point = hn::Set(d, static_cast<float>(s.conv.x_zero_point));
  V sum[kN];
  FT_UNROLL for (int j = 0; j < kN; ++j) sum[j] = hn::Zero(d);
  for (int ky = win.ky_begin; ky < win.ky_end; ++ky)
    for (int kx = win.kx_begin; kx < win.kx_end; ++kx)
      dots<kN>(s, x + ft_x_index(&s.conv, &win, ky, kx),
               w + (ky * s.conv.k_w + kx) * z.kept, z.row, index, zero_point,
               sum);
  FT_UNROLL for (int j = 0; j < kN; ++j) y[j] =
      hn::GetLane(hn::SumOfLanes(d, sum[j])) * s.conv.x_scale;
}

template <class X>
void forward(const ft_block_conv2d_params s, const ft_args* args) {
  const auto* x = static_cast<const X*>(args->in[0]);
  const auto* w = static_cast<const float*>(args->in[1]);
  const auto* index = static_cast<const int32_t*>(args->in[2]);
  auto* y = static_cast<float*>(args->out[0]);
  const ptrdiff_t row = sizes_of(s).row;
  const int pixels = ft_num_pixels(&s.conv);
  Windows windows(s.conv);
  for (int i = 0; i < pixels; ++i, y += s.conv.out_c) {
    const ft_window win = windows.next();
    int o = 0;
    for (; o + kOutputs <= s.conv.out_c; o += kOutputs)
      outputs<kOutputs>(s, win, x, w + o * row, index, y + o);
    for (; o < s.conv.out_c; ++o)
      outputs<1>(s, win, x, w + o * row, index, y + o);
  }
}

template <int kN, class X>
HWY_INLINE void add_products(const ft_block_conv2d_params& s,
                             const ft_window& win, const X* x, const float* dy,
                             const int32_t* index, float* dw) {
  const Tag d;
  const Sizes z = sizes_of(s);
  const V zero_point = hn::Set(d, static_cast<float>(s.conv.x_zero_point));
  V g[kN];
  FT_UNROLL for (int j = 0; j < kN; ++j) g[j] = hn::Set(d, dy[j]);
  for (int ky = win.ky_begin; ky < win.ky_end; ++ky)
    for (int kx = win.kx_begin; kx < win.kx_end; ++kx) {
      const X* const at = x + ft_x_index(&s.conv, &win, ky, kx);
      float* to = dw + (ky * s.conv.k_w + kx) * z.kept;
      for (int b = 0; b < s.blocks; ++b) {
        const X* from = at + ft_block_channel(&s, index, b);
        for (int c = 0; c < s.block; c += kLanes, to += kLanes) {
          const V v = load(from + c, zero_point);
          FT_UNROLL for (int j = 0; j < kN; ++j)
              hn::StoreU(hn::MulAdd(v, g[j], hn::LoadU(d, to + j * z.row)), d,
                         to + j * z.row);
        }
      }
    }
}

template <class X>
void weight_grad(const ft_block_conv2d_params s, const ft_args* args) {
  const auto* x = static_cast<const X*>(args->in[0]);
  const auto* dy = static_cast<const float*>(args->in[1]);
  const auto* index = static_cast<const int32_t*>(args->in[2]);
  auto* dw = static_cast<float*>(args->out[0]);
  const ptrdiff_t row = sizes_of(s).row;
  const int pixels = ft_num_pixels(&s.conv);
  std::fill_n(dw, row * s.conv.out_c, 0.0f);
  Windows windows(s.conv);
  for (int i = 0; i < pixels; ++i, dy += s.conv.out_c) {
    const ft_window win = windows.next();
    int o = 0;
    for (; o + kOutputs <= s.conv.out_c; o += kOutputs)
      add_products<kOutputs>(s, win, x, dy + o, index, dw + o * row);
    for (; o < s.conv.out_c; ++o)
      add_products<1>(s, win, x, dy + o, index, dw + o * row);
  }
  for (ptrdiff_t i = 0; i < row * s.conv.out_c; ++i) dw[i] *= s.conv.x_scale;
}

template <int kN>
HWY_INLINE void add_back(const ft_block_conv2d_params& s, const ft_window& win,
                         const float* dy, const float* w, const int32_t* index,
                         float* dx) {
  const Tag d;
  const Sizes z = sizes_of(s);
  V g[kN];
  FT_UNROLL for (int j = 0; j < kN; ++j) g[j] = hn::Set(d, dy[j]);
  for (int ky = win.ky_begin; ky < win.ky_end; ++ky)
    for (int kx = win.kx_begin; kx < win.kx_end; ++kx) {
      float* const at = dx + ft_x_index(&s.conv, &win, ky, kx);
      const float* from = w + (ky * s.conv.k_w + kx) * z.kept;
      for (int b = 0; b < s.blocks; ++b) {
        float* to = at + ft_block_channel(&s, index, b);
        for (int c = 0; c < s.block; c += kLanes, from += kLanes) {
          V sum = hn::LoadU(d, to + c);
          FT_UNROLL for (int j = 0; j < kN; ++j) sum =
              hn::MulAdd(g[j], hn::LoadU(d, from + j * z.row), sum);
          hn::StoreU(sum, d, to + c);
        }
      }
    }
}

void input_grad(const ft_block_conv2d_params s, const ft_args* args) {
  const auto* dy = static_cast<const float*>(args->in[0]);
  const auto* w = static_cast<const float*>(args->in[1]);
  const auto* index = static_cast<const int32_t*>(args->in[2]);
  auto* dx = static_cast<float*>(args->out[0]);
  const ft_conv_params& p = s.conv;
  const ptrdiff_t row = sizes_of(s).row;
  const int pixels = ft_num_pixels(&p);
  // Images have fewer elements than an int can count.
  const int size = p.batch * p.in_h * p.in_w * p.in_c;
  int first = 0;
  for (; first + kLanes <= size; first += kLanes)
    hn::StoreU(hn::Zero(Tag()), Tag(), dx + first);
  for (; first < size; ++first) dx[first] = 0;
  Windows windows(p);
  for (int i = 0; i < pixels; ++i, dy += p.out_c) {
    const ft_window win = windows.next();
    int o = 0;
    for (; o + kOutputs <= p.out_c; o += kOutputs)
      add_back<kOutputs>(s, win, dy + o, w + o * row, index, dx);
    for (; o < p.out_c; ++o)
      add_back<1>(s, win, dy + o, w + o * row, index, dx);
  }
}

void forward_f32(const ft_block_conv2d_params& s, const ft_args* args) {
  forward<float>(s, args);
}
void forward_s8(const ft_block_conv2d_params& s, const ft_args* args) {
  forward<int8_t>(s, args);
}
void weight_grad_f32(const ft_block_conv2d_params& s, const ft_args* args) {
  weight_grad<float>(s, args);
}
void weight_grad_s8(const ft_block_conv2d_params& s, const ft_args* args) {
  weight_grad<int8_t>(s, args);
}

}  // namespace
}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
namespace {

HWY_EXPORT(forward_f32);
HWY_EXPORT(forward_s8);
HWY_EXPORT(weight_grad_f32);
HWY_EXPORT(weight_grad_s8);
HWY_EXPORT(input_grad);

const ft_block_conv2d_params& params_of(const void* params) {
  return *static_cast<const ft_block_conv2d_params*>(params);
}

}  // namespace
}  // namespace ft

void ft_block_conv2d_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(forward_f32)(params_of(params), args);
}

void ft_block_conv2d_s8f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(forward_s8)(params_of(params), args);
}

void ft_block_conv2d_weight_grad_f32_hwy(const void* params,
                                         const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(weight_grad_f32)(params_of(params), args);
}

void ft_block_conv2d_weight_grad_s8f32_hwy(const void* params,
                                           const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(weight_grad_s8)(params_of(params), args);
}

void ft_block_conv2d_input_grad_f32_hwy(const void* params,
                                        const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(input_grad)(params_of(params), args);
}
#endif  // HWY_ONCE
