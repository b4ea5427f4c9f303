// Gradient of a gain by way of a weight gradient: with dw = dy^T x, formed a
// few outputs at a time, dgain[c] is the product of dw[c] and w[c]. Nothing is
// packed, and no sum of the forward pass is formed again. Rows of x are those
// of im2col, with the row of h behind them: its weights are lora_scaling *
// lora_b.
#include <algorithm>

#include "kernels/conv2d/im2col.h"
#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/gain_grad/gain_grad.h"
#include "kernels/matmul/gemm.h"

namespace ft {
namespace {

// Pixels and outputs of a block: its rows and products stay in the L1 cache.
constexpr int kPixels = 24, kOutputs = 36;

bool is_depthwise(const ft_gain_grad_params& p) {
  return p.w_out_step == 1 && p.w_tap_step == p.conv.out_c;
}

int row_stride(const ft_conv_params& p) {
  return gemm_padded(kernel_size(p) + p.rank);
}

size_t floats_of(const ft_gain_grad_params& p) {
  if (is_depthwise(p))
    return static_cast<size_t>(p.conv.k_h * p.conv.k_w) *
           static_cast<size_t>(p.conv.out_c);
  return static_cast<size_t>(kPixels + kOutputs) *
         static_cast<size_t>(row_stride(p.conv));
}

// What the element types of x, w and bias say of the layer.
template <class X, class W>
struct Layer {
  const ft_conv_params& p;
  const X* x;
  const W* w;
  const float* dy;
  const float *h, *lora_b, *delta;
  const void* bias;
  const float* acc_scale;  // int8 w
  float* dgain;

  // Factor of a sum of stored products.
  float scale(int c) const { return acc_scale ? acc_scale[c] : p.x_scale; }
  float bias_at(int c) const {
    if (!bias) return 0;
    if constexpr (sizeof(W) == 1)
      return static_cast<float>(static_cast<const int32_t*>(bias)[c]) *
             acc_scale[c];
    else
      return static_cast<const float*>(bias)[c];
  }
};

template <class X, class W>
Layer<X, W> layer_of(const ft_gain_grad_params& p, const ft_args* args) {
  const auto floats = [&](int i) {
    return static_cast<const float*>(args->in[i]);
  };
  return {.p = p.conv,
          .x = static_cast<const X*>(args->in[0]),
          .w = static_cast<const W*>(args->in[1]),
          .dy = floats(2),
          .h = floats(4),
          .lora_b = floats(5),
          .delta = floats(6),
          .bias = args->in[3],
          .acc_scale = sizeof(W) == 1 ? static_cast<const float*>(args->aux[0])
                                      : nullptr,
          .dgain = static_cast<float*>(args->out[0])};
}

// Sums of kCount columns of dy over its rows. A constant number of sums, kept
// in registers, makes vectors of them.
template <int kCount>
void sum_columns(const float* dy, int rows, int row_stride, float* sums) {
  float sum[kCount] = {};
  for (int i = 0; i < rows; ++i, dy += row_stride)
    for (int c = 0; c < kCount; ++c) sum[c] += dy[c];
  std::copy_n(sum, kCount, sums);
}

// dgain = bias * sum of dy over the pixels
template <class X, class W>
void start_with_bias(const Layer<X, W>& layer) {
  const int outputs = layer.p.out_c, pixels = ft_num_pixels(&layer.p);
  std::fill_n(layer.dgain, outputs, 0.0f);
  if (!layer.bias) return;
  int c = 0;
  for (; c + kGemmPanel <= outputs; c += kGemmPanel)
    sum_columns<kGemmPanel>(layer.dy + c, pixels, outputs, layer.dgain + c);
  for (; c < outputs; ++c)
    sum_columns<1>(layer.dy + c, pixels, outputs, layer.dgain + c);
  for (c = 0; c < outputs; ++c) layer.dgain[c] *= layer.bias_at(c);
}

// dw[j] = sum of dy[first + j] * [x, h] over the pixels.
template <class X, class W>
void sum_products(const Layer<X, W>& layer, int first, int count, float* rows,
                  float* dw) {
  const ft_conv_params& p = layer.p;
  const int size = kernel_size(p), stride = row_stride(p);
  const int pixels = ft_num_pixels(&p);
  GemmArgs g{.m = count, .n = stride};
  g.a_row = 1;
  g.a_col = p.out_c;
  g.c = dw;
  g.c_row = stride;
  if constexpr (sizeof(X) == sizeof(float)) {
    if (is_pointwise(p) && stride == size && p.rank == 0) {
      g.k = pixels;
      g.a = layer.dy + first;
      use_rows(g, layer.x, size);
      return gemm(g);
    }
  }
  use_rows(g, rows, stride);
  for (int pixel = 0; pixel < pixels; pixel += kPixels) {
    g.k = std::min(kPixels, pixels - pixel);
    fill_im2col(p, layer.x, pixel, g.k, stride, rows);
    for (int i = 0; i < g.k && p.rank > 0; ++i)
      std::copy_n(layer.h + static_cast<ptrdiff_t>(pixel + i) * p.rank, p.rank,
                  rows + i * stride + size);
    g.a = layer.dy + static_cast<ptrdiff_t>(pixel) * p.out_c + first;
    gemm(g);
    g.accumulate = true;
  }
}

// dw times the weights of output c, int8 ones made float in `buffer`.
template <class X, class W>
float product_with_weights(const Layer<X, W>& layer, int c, const float* dw,
                           float* buffer) {
  const ft_conv_params& p = layer.p;
  const int size = kernel_size(p);
  const W* const w = layer.w + static_cast<ptrdiff_t>(c) * size;
  float sum = 0, side = 0;
  if constexpr (sizeof(W) == 1) {
    dequantize_run(w, size, 0, 1, buffer);
    dot_rows(dw, buffer, 1, size, &sum);
  } else {
    dot_rows(dw, w, 1, size, &sum);
  }
  for (int l = 0; l < p.rank; ++l)
    side += dw[size + l] * layer.lora_b[c * p.rank + l];
  return layer.scale(c) * sum + p.lora_scaling * side;
}

template <class X, class W>
void dense(const Layer<X, W>& layer, float* scratch) {
  const ft_conv_params& p = layer.p;
  const int stride = row_stride(p);
  float *const rows = scratch, *const dw = rows + kPixels * stride;
  start_with_bias(layer);
  for (int first = 0; first < p.out_c; first += kOutputs) {
    const int count = std::min(kOutputs, p.out_c - first);
    sum_products(layer, first, count, rows, dw);
    for (int j = 0; j < count; ++j)
      layer.dgain[first + j] +=
          product_with_weights(layer, first + j, dw + j * stride, rows);
  }
}

void weight_grad(const ft_conv_params& p, const ft_args& args, const float*) {
  ft_depthwise_conv2d_weight_grad_f32_hwy(&p, &args);
}
void weight_grad(const ft_conv_params& p, const ft_args& args, const int8_t*) {
  ft_depthwise_conv2d_weight_grad_s8f32_hwy(&p, &args);
}

template <class X, class W>
void depthwise(const Layer<X, W>& layer, const ft_args* args, float* scratch) {
  ft_conv_params p = layer.p;
  const int taps = p.k_h * p.k_w;
  float* const dw = scratch;
  start_with_bias(layer);
  void* in[] = {args->in[0], args->in[2]};
  void* out[] = {dw};
  p.x_scale = 1;
  weight_grad(p, {in, nullptr, out, nullptr, nullptr}, layer.x);
  for (int tap = 0, i = 0; tap < taps; ++tap) {
    for (int c = 0; c < p.out_c; ++c, ++i) {
      float weight = layer.scale(c) * static_cast<float>(layer.w[i]);
      if (layer.delta) weight += layer.p.x_scale * layer.delta[i];
      layer.dgain[c] += dw[i] * weight;
    }
  }
}

template <class X, class W>
void gain_grad(const void* params, const ft_args* args) {
  const auto& p = *static_cast<const ft_gain_grad_params*>(params);
  const Layer<X, W> layer = layer_of<X, W>(p, args);
  auto* const scratch = static_cast<float*>(args->scratch);
  if (is_depthwise(p)) return depthwise(layer, args, scratch);
  dense(layer, scratch);
}

}  // namespace
}  // namespace ft

int ft_gain_grad_hwy_accepts(const ft_gain_grad_params* p) {
  if (ft::is_depthwise(*p)) return ft_depthwise_conv2d_hwy_accepts(&p->conv);
  return p->conv.groups == 1 && p->w_out_step == ft::kernel_size(p->conv);
}

size_t ft_gain_grad_hwy_scratch_bytes(const ft_gain_grad_params* p) {
  return sizeof(float) * ft::floats_of(*p);
}

void ft_gain_grad_f32_hwy(const void* params, const ft_args* args) {
  ft::gain_grad<float, float>(params, args);
}

void ft_gain_grad_s8_hwy(const void* params, const ft_args* args) {
  ft::gain_grad<int8_t, int8_t>(params, args);
}

void ft_gain_grad_s8f32_hwy(const void* params, const ft_args* args) {
  ft::gain_grad<int8_t, float>(params, args);
}
