// Float depthwise convolution and its gradients, vectors along channels; one
// output channel for each input channel. Forward and input gradient both sum
// taps (a pointer into an image times one into the weights) over one pixel.
#include <algorithm>

#include "kernels/depthwise_conv2d/depthwise3x3.h"
#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/hwy_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE \
  "kernels/depthwise_conv2d/depthwise_conv2d_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "hwy/highway.h"

#ifndef FT_DEPTHWISE_CONV2D_F32_HWY_ONCE
#define FT_DEPTHWISE_CONV2D_F32_HWY_ONCE
namespace ft {

constexpr int kMaxTaps = 64;

struct Tap {
  const float *x, *w;
};

// out[c] = clamp(bias[c] + sum of x[c] w[c] over the taps)
struct PixelSum {
  Tap taps[kMaxTaps];
  int count = 0;
  int channels = 0;
  const float* bias = nullptr;
  int act = FT_ACT_NONE;
  float* out = nullptr;
};

}  // namespace ft
#endif

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {
namespace {  // other files have functions of these names
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::ScalableTag<float>;
using V = hn::Vec<Tag>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(Tag()));
// Vectors summed side by side, to hide the latency of multiply-add.
constexpr int kChunk = 4;

HWY_INLINE V clamp(V v, int act) {
  const Tag d;
  if (act == FT_ACT_NONE) return v;
  const V low = hn::Set(d, act == FT_ACT_RELU_N1 ? -1.0f : 0.0f);
  v = hn::IfThenElse(hn::Lt(v, low), low, v);
  if (act == FT_ACT_RELU) return v;
  const V high = hn::Set(d, act == FT_ACT_RELU6 ? 6.0f : 1.0f);
  return hn::IfThenElse(hn::Gt(v, high), high, v);
}

template <int kVectors>
HWY_INLINE void sum_channels(const PixelSum& s, int c) {
  const Tag d;
  V sum[kVectors];
  FT_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] =
      s.bias ? hn::LoadU(d, s.bias + c + v * kLanes) : hn::Zero(d);
  for (int t = 0; t < s.count; ++t) {
    const float *x = s.taps[t].x + c, *w = s.taps[t].w + c;
    FT_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] = hn::MulAdd(
        hn::LoadU(d, x + v * kLanes), hn::LoadU(d, w + v * kLanes), sum[v]);
  }
  FT_UNROLL for (int v = 0; v < kVectors; ++v)
      hn::StoreU(clamp(sum[v], s.act), d, s.out + c + v * kLanes);
}

HWY_INLINE void sum_one_channel(const PixelSum& s, int c) {
  float sum = s.bias ? s.bias[c] : 0;
  for (int t = 0; t < s.count; ++t) sum += s.taps[t].x[c] * s.taps[t].w[c];
  if (s.act != FT_ACT_NONE) {
    const float low = s.act == FT_ACT_RELU_N1 ? -1.0f : 0.0f;
    const float high = s.act == FT_ACT_RELU6 ? 6.0f : 1.0f;
    if (sum < low) sum = low;
    if (s.act != FT_ACT_RELU && sum > high) sum = high;
  }
  s.out[c] = sum;
}

void sum_pixel(const PixelSum& s) {
  int c = 0;
  for (; c + kChunk * kLanes <= s.channels; c += kChunk * kLanes)
    sum_channels<kChunk>(s, c);
  for (; c + kLanes <= s.channels; c += kLanes) sum_channels<1>(s, c);
  for (; c < s.channels; ++c) sum_one_channel(s, c);
}

void forward_rows(const ft_conv_params& p, const float* x, const float* w,
                  const float* bias, float* y) {
  PixelSum s;
  s.channels = p.out_c;
  s.bias = bias;
  s.act = p.act;
  const int pixels = ft_num_pixels(&p);
  for (int pixel = 0; pixel < pixels; ++pixel) {
    const ft_window win = ft_window_of(&p, pixel);
    s.count = 0;
    for (int ky = win.ky_begin; ky < win.ky_end; ++ky)
      for (int kx = win.kx_begin; kx < win.kx_end; ++kx)
        s.taps[s.count++] = {x + ft_x_index(&p, &win, ky, kx),
                             w + (ky * p.k_w + kx) * p.out_c};
    s.out = y + static_cast<ptrdiff_t>(pixel) * p.out_c;
    sum_pixel(s);
  }
}

// Position of the output that reads `position` through kernel element k, or -1.
HWY_INLINE int reader(int position, int pad, int k, int dilation, int stride,
                      int size) {
  const int at = position + pad - k * dilation;
  if (at < 0 || at % stride != 0 || at / stride >= size) return -1;
  return at / stride;
}

void input_grad_pixels(const ft_conv_params& p, const float* dy, const float* w,
                       float* dx) {
  PixelSum s;
  s.channels = p.out_c;
  s.out = dx;
  for (int n = 0; n < p.batch; ++n) {
    for (int iy = 0; iy < p.in_h; ++iy) {
      for (int ix = 0; ix < p.in_w; ++ix, s.out += p.out_c) {
        s.count = 0;
        for (int ky = 0; ky < p.k_h; ++ky) {
          const int oy =
              reader(iy, p.pad_top, ky, p.dilation_h, p.stride_h, p.out_h);
          if (oy < 0) continue;
          for (int kx = 0; kx < p.k_w; ++kx) {
            const int ox =
                reader(ix, p.pad_left, kx, p.dilation_w, p.stride_w, p.out_w);
            if (ox < 0) continue;
            const ptrdiff_t pixel = (n * p.out_h + oy) * p.out_w + ox;
            s.taps[s.count++] = {dy + pixel * p.out_c,
                                 w + (ky * p.k_w + kx) * p.out_c};
          }
        }
        sum_pixel(s);
      }
    }
  }
}

HWY_INLINE V load_real(const float* x, int32_t) { return hn::LoadU(Tag(), x); }
HWY_INLINE V load_real(const int8_t* x, int32_t zero_point) {
  const hn::Rebind<int8_t, Tag> d8;
  const hn::Rebind<int32_t, Tag> d32;
  return hn::ConvertTo(Tag(), hn::Sub(hn::PromoteTo(d32, hn::LoadU(d8, x)),
                                      hn::Set(d32, zero_point)));
}

// Output positions that read the image through kernel element k.
struct Readers {
  int begin, end;
};
HWY_INLINE Readers readers_of(int k, int dilation, int pad, int stride,
                              int in_size, int out_size) {
  const int shift = k * dilation - pad;  // in = out * stride + shift
  const int begin = shift < 0 ? (-shift + stride - 1) / stride : 0;
  const int last = in_size - 1 - shift;
  const int end = last < 0 ? 0 : std::min(out_size, last / stride + 1);
  return {std::min(begin, end), end};
}

// dw[c ...] of one kernel element: sums x dy over all pixels.
template <class X, int kVectors>
HWY_INLINE void correlate(const ft_conv_params& p, const X* x, const float* dy,
                          int ky, int kx, int c, float* dw) {
  const Tag d;
  const Readers rows =
      readers_of(ky, p.dilation_h, p.pad_top, p.stride_h, p.in_h, p.out_h);
  const Readers columns =
      readers_of(kx, p.dilation_w, p.pad_left, p.stride_w, p.in_w, p.out_w);
  V sum[kVectors];
  FT_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] = hn::Zero(d);
  const int ix0 = columns.begin * p.stride_w - p.pad_left + kx * p.dilation_w;
  for (int n = 0; n < p.batch; ++n) {
    for (int oy = rows.begin; oy < rows.end; ++oy) {
      const int iy = oy * p.stride_h - p.pad_top + ky * p.dilation_h;
      const ptrdiff_t in = (n * p.in_h + iy) * p.in_w + ix0;
      const ptrdiff_t out = (n * p.out_h + oy) * p.out_w + columns.begin;
      const X* xs = x + in * p.in_c + c;
      const float* g = dy + out * p.out_c + c;
      for (int ox = columns.begin; ox < columns.end; ++ox) {
        FT_UNROLL for (int v = 0; v < kVectors; ++v) sum[v] =
            hn::MulAdd(load_real(xs + v * kLanes, p.x_zero_point),
                       hn::LoadU(d, g + v * kLanes), sum[v]);
        xs += p.stride_w * p.in_c;
        g += p.out_c;
      }
    }
  }
  FT_UNROLL for (int v = 0; v < kVectors; ++v) hn::StoreU(
      hn::Mul(sum[v], hn::Set(d, p.x_scale)), d, dw + c + v * kLanes);
}

template <class X>
void correlate_rest(const ft_conv_params& p, const X* x, const float* dy,
                    int ky, int kx, int c, float* dw) {
  const Readers rows =
      readers_of(ky, p.dilation_h, p.pad_top, p.stride_h, p.in_h, p.out_h);
  const Readers columns =
      readers_of(kx, p.dilation_w, p.pad_left, p.stride_w, p.in_w, p.out_w);
  for (; c < p.out_c; ++c) {
    float sum = 0;
    for (int n = 0; n < p.batch; ++n)
      for (int oy = rows.begin; oy < rows.end; ++oy)
        for (int ox = columns.begin; ox < columns.end; ++ox) {
          const int iy = oy * p.stride_h - p.pad_top + ky * p.dilation_h;
          const int ix = ox * p.stride_w - p.pad_left + kx * p.dilation_w;
          const auto v = x[((n * p.in_h + iy) * p.in_w + ix) * p.in_c + c];
          sum += (static_cast<float>(v) - static_cast<float>(p.x_zero_point)) *
                 dy[((n * p.out_h + oy) * p.out_w + ox) * p.out_c + c];
        }
    dw[c] = sum * p.x_scale;
  }
}

template <class X>
void weight_grad(const ft_conv_params& p, const X* x, const float* dy,
                 float* dw) {
  for (int ky = 0; ky < p.k_h; ++ky) {
    for (int kx = 0; kx < p.k_w; ++kx, dw += p.out_c) {
      int c = 0;
      for (; c + kChunk * kLanes <= p.out_c; c += kChunk * kLanes)
        correlate<X, kChunk>(p, x, dy, ky, kx, c, dw);
      for (; c + kLanes <= p.out_c; c += kLanes)
        correlate<X, 1>(p, x, dy, ky, kx, c, dw);
      correlate_rest(p, x, dy, ky, kx, c, dw);
    }
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

}  // namespace
}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(forward_rows);
HWY_EXPORT(input_grad_pixels);
HWY_EXPORT(weight_grad_f32);
HWY_EXPORT(weight_grad_s8);

namespace {

// w as floats, plus delta, times gain, in scratch; w itself if that is the
// same.
template <class W>
const float* effective_weights(const ft_conv_params& p, const W* w,
                               const float* w_scale, const float* delta,
                               const float* gain, float* scratch) {
  if constexpr (sizeof(W) == sizeof(float))
    if (!delta && !gain) return w;
  for (int tap = 0, i = 0; tap < p.k_h * p.k_w; ++tap) {
    for (int c = 0; c < p.out_c; ++c, ++i) {
      const float v = static_cast<float>(w[i]);
      const float sum =
          (w_scale ? w_scale[c] * v : v) + (delta ? delta[i] : 0.0f);
      scratch[i] = gain ? gain[c] * sum : sum;
    }
  }
  return scratch;
}

// w [9, c] turned by half a turn, as the input gradient reads it.
const float* flipped(const ft_conv_params& p, const float* w, float* scratch) {
  for (int tap = 0; tap < 9; ++tap)
    std::copy_n(w + (8 - tap) * p.out_c, p.out_c, scratch + tap * p.out_c);
  return scratch;
}

void forward3x3(const ft_conv_params& p, const float* x, const float* w,
                const float* bias, float* y) {
  depthwise3x3({.batch = p.batch,
                .channels = p.out_c,
                .in_h = p.in_h,
                .in_w = p.in_w,
                .out_h = p.out_h,
                .out_w = p.out_w,
                .pad_top = p.pad_top,
                .pad_left = p.pad_left,
                .act = p.act,
                .in = x,
                .w = w,
                .bias = bias,
                .out = y});
}

void input_grad3x3(const ft_conv_params& p, const float* dy, const float* w,
                   float* dx) {
  depthwise3x3({.batch = p.batch,
                .channels = p.out_c,
                .in_h = p.out_h,
                .in_w = p.out_w,
                .out_h = p.in_h,
                .out_w = p.in_w,
                .pad_top = 2 - p.pad_top,
                .pad_left = 2 - p.pad_left,
                .act = FT_ACT_NONE,
                .in = dy,
                .w = w,
                .bias = nullptr,
                .out = dx});
}

template <class W>
void input_grad(const ft_conv_params& p, const ft_args* args,
                const float* w_scale) {
  auto* scratch = static_cast<float*>(args->scratch);
  const auto* dy = static_cast<const float*>(args->in[0]);
  auto* dx = static_cast<float*>(args->out[0]);
  const float* w = effective_weights(
      p, static_cast<const W*>(args->in[1]), w_scale,
      static_cast<const float*>(args->in[2]), nullptr, scratch);
  if (is_depthwise3x3(p))
    return input_grad3x3(p, dy, flipped(p, w, scratch + 9 * p.out_c), dx);
  HWY_DYNAMIC_DISPATCH(input_grad_pixels)(p, dy, w, dx);
}

void forward(const ft_conv_params& p, const ft_args* args) {
  const auto* x = static_cast<const float*>(args->in[0]);
  const auto* bias = static_cast<const float*>(args->in[2]);
  const auto* gain = static_cast<const float*>(args->in[5]);
  auto* y = static_cast<float*>(args->out[0]);
  auto* scratch = static_cast<float*>(args->scratch);
  const float* w =
      effective_weights(p, static_cast<const float*>(args->in[1]), nullptr,
                        static_cast<const float*>(args->in[3]), gain, scratch);
  if (bias && gain && p.gain_bias) {
    float* const scaled = scratch + p.k_h * p.k_w * p.out_c;
    for (int c = 0; c < p.out_c; ++c) scaled[c] = gain[c] * bias[c];
    bias = scaled;
  }
  if (is_depthwise3x3(p)) return forward3x3(p, x, w, bias, y);
  HWY_DYNAMIC_DISPATCH(forward_rows)(p, x, w, bias, y);
}

void dispatch_weight_grad(const ft_conv_params& p, const float* x,
                          const float* dy, float* dw) {
  HWY_DYNAMIC_DISPATCH(weight_grad_f32)(p, x, dy, dw);
}
void dispatch_weight_grad(const ft_conv_params& p, const int8_t* x,
                          const float* dy, float* dw) {
  HWY_DYNAMIC_DISPATCH(weight_grad_s8)(p, x, dy, dw);
}

template <class X>
void any_weight_grad(const void* params, const ft_args* args) {
  const auto& p = *static_cast<const ft_conv_params*>(params);
  const auto* x = static_cast<const X*>(args->in[0]);
  const auto* dy = static_cast<const float*>(args->in[1]);
  auto* dw = static_cast<float*>(args->out[0]);
  if (is_depthwise3x3(p)) return depthwise3x3_weight_grad(p, x, dy, dw);
  dispatch_weight_grad(p, x, dy, dw);
}

}  // namespace
}  // namespace ft

int ft_depthwise_conv2d_hwy_accepts(const ft_conv_params* p) {
  return p->in_c == p->out_c && p->k_h * p->k_w <= ft::kMaxTaps;
}

size_t ft_depthwise_conv2d_hwy_scratch_bytes(const ft_conv_params* p) {
  // The weights with their delta or gain, and these once more, flipped, or the
  // bias with its gain.
  return 2 * sizeof(float) * static_cast<size_t>(p->k_h * p->k_w) *
         static_cast<size_t>(p->out_c);
}

void ft_depthwise_conv2d_f32_hwy(const void* params, const ft_args* args) {
  ft::forward(*static_cast<const ft_conv_params*>(params), args);
}

void ft_depthwise_conv2d_input_grad_f32_hwy(const void* params,
                                            const ft_args* args) {
  ft::input_grad<float>(*static_cast<const ft_conv_params*>(params), args,
                        nullptr);
}

void ft_depthwise_conv2d_input_grad_f32s8_hwy(const void* params,
                                              const ft_args* args) {
  ft::input_grad<int8_t>(*static_cast<const ft_conv_params*>(params), args,
                         static_cast<const float*>(args->aux[0]));
}

void ft_depthwise_conv2d_weight_grad_f32_hwy(const void* params,
                                             const ft_args* args) {
  ft::any_weight_grad<float>(params, args);
}

void ft_depthwise_conv2d_weight_grad_s8f32_hwy(const void* params,
                                               const ft_args* args) {
  ft::any_weight_grad<int8_t>(params, args);
}
#endif  // HWY_ONCE
