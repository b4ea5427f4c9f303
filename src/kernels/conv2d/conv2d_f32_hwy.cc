// Float convolution as a matrix product (gemm.h): pixels by kernel elements,
// with bias, gain, low-rank side and activation in the product's last step. A
// gain scales the bias, if it applies to it, beforehand.
#include <algorithm>

#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/im2col.h"
#include "kernels/matmul/gemm.h"

namespace ft {
namespace {

// An adapter's down-projection: few output channels and nothing fused, a
// product along the kernel elements.
bool is_projection(const ft_conv_params& p, const ft_args* args) {
  return p.out_c <= kMaxNarrow && !args->in[2] && !args->in[5] && p.rank == 0 &&
         p.act == FT_ACT_NONE;
}

// Rows of im2col and of w are padded with zeros to whole vectors.
template <class X>
void project(const ft_conv_params& p, const ft_args* args, float* scratch) {
  const auto* x = static_cast<const X*>(args->in[0]);
  const auto* w = static_cast<const float*>(args->in[1]);
  const int size = kernel_size(p), stride = gemm_padded(size);
  const int pixels = ft_num_pixels(&p);
  float* rows = scratch;
  for (int j = 0; j < narrow_columns(p.out_c); ++j, rows += stride) {
    const int kept = j < p.out_c ? size : 0;
    std::copy_n(w + j * size, kept, rows);
    std::fill(rows + kept, rows + stride, 0.0f);
  }
  NarrowArgs g{.m = pixels,
               .n = p.out_c,
               .k = stride,
               .a = rows,
               .a_row = stride,
               .bt = scratch,
               .c = static_cast<float*>(args->out[0]),
               .c_row = p.out_c,
               .alpha = p.x_scale};
  if constexpr (sizeof(X) == sizeof(float)) {
    if (is_pointwise(p) && stride == size) {
      g.a = x;
      return gemm_narrow(g);
    }
  }
  for (int first = 0; first < pixels; first += kIm2colRows) {
    g.m = std::min(kIm2colRows, pixels - first);
    fill_im2col(p, x, first, g.m, stride, rows);
    gemm_narrow(g);
    g.c += g.m * g.c_row;
  }
}

size_t projection_floats(const ft_conv_params& p) {
  return static_cast<size_t>(kIm2colRows + narrow_columns(p.out_c)) *
         static_cast<size_t>(gemm_padded(kernel_size(p)));
}

// Scratch, in floats: packed weights unless they are constants, packed lora_b,
// the bias if a gain scales it, a block of im2col rows unless the image is the
// matrix.
struct Layout {
  size_t lora_b, bias, rows, total;
};

template <class X>
Layout layout_of(const ft_conv_params& p, bool weights_are_packed) {
  const auto floats = [](size_t bytes) { return bytes / sizeof(float); };
  Layout at{};
  at.lora_b =
      weights_are_packed ? 0 : floats(packed_bytes(p.out_c, kernel_size(p)));
  at.bias = at.lora_b + floats(packed_bytes(p.out_c, p.rank));
  at.rows = at.bias + (p.gain_bias ? static_cast<size_t>(p.out_c) : 0);
  const bool direct = is_pointwise(p) && sizeof(X) == sizeof(float);
  at.total = at.rows;
  if (!direct)
    at.total +=
        static_cast<size_t>(kIm2colRows) * static_cast<size_t>(kernel_size(p));
  return at;
}

template <class X>
void multiply_rows(const ft_conv_params& p, const X* x, GemmArgs g,
                   float* rows) {
  const int pixels = ft_num_pixels(&p);
  float* const y = g.c;
  const float* const h = g.a2;
  for (int first = 0; first < pixels; first += kIm2colRows) {
    g.m = std::min(kIm2colRows, pixels - first);
    fill_im2col(p, x, first, g.m, g.k, rows);
    g.a = rows;
    g.c = y + static_cast<ptrdiff_t>(first) * p.out_c;
    if (h) g.a2 = h + static_cast<ptrdiff_t>(first) * p.rank;
    gemm(g);
  }
}

template <class X>
void conv2d(const ft_conv_params& p, const ft_args* args,
            const float* packed_w) {
  auto* scratch = static_cast<float*>(args->scratch);
  if (!packed_w && is_projection(p, args)) return project<X>(p, args, scratch);
  const Layout at = layout_of<X>(p, packed_w != nullptr);
  const auto* gain = static_cast<const float*>(args->in[5]);
  GemmArgs g{.m = ft_num_pixels(&p), .n = p.out_c, .k = kernel_size(p)};
  if (!packed_w) {
    const PackSource<float> w{.b = static_cast<const float*>(args->in[1]),
                              .b_row = 1,
                              .b_col = g.k,
                              .scale = p.x_scale};
    pack(w, g.k, g.n, scratch);
    packed_w = scratch;
  }
  use_packed(g, packed_w);
  if (p.rank > 0) {
    const PackSource<float> b{.b = static_cast<const float*>(args->in[4]),
                              .b_row = 1,
                              .b_col = p.rank,
                              .scale = p.lora_scaling};
    pack(b, p.rank, g.n, scratch + at.lora_b);
    g.k2 = p.rank;
    g.a2 = static_cast<const float*>(args->in[3]);
    g.a2_row = p.rank;
    g.b2 = scratch + at.lora_b;
  }
  g.column_scale = gain;
  g.bias = static_cast<const float*>(args->in[2]);
  if (g.bias && gain && p.gain_bias) {
    float* const bias = scratch + at.bias;
    for (int j = 0; j < g.n; ++j) bias[j] = gain[j] * g.bias[j];
    g.bias = bias;
  }
  g.a_row = g.k;
  g.c = static_cast<float*>(args->out[0]);
  g.c_row = p.out_c;
  set_activation(g, p.act);
  const auto* x = static_cast<const X*>(args->in[0]);
  if constexpr (sizeof(X) == sizeof(float)) {
    if (is_pointwise(p)) {
      g.a = x;
      return gemm(g);
    }
  }
  multiply_rows(p, x, g, scratch + at.rows);
}

}  // namespace
}  // namespace ft

size_t ft_conv2d_hwy_scratch_bytes(const ft_conv_params* p, int x_is_s8,
                                   int packed) {
  size_t floats = x_is_s8 ? ft::layout_of<int8_t>(*p, packed).total
                          : ft::layout_of<float>(*p, packed).total;
  if (!packed && p->out_c <= ft::kMaxNarrow)
    floats = std::max(floats, ft::projection_floats(*p));
  return sizeof(float) * floats;
}

size_t ft_conv2d_hwy_packed_bytes(const ft_conv_params* p) {
  return ft::packed_bytes(p->out_c, ft::kernel_size(*p));
}

void ft_conv2d_hwy_pack(const ft_conv_params* p, const float* w,
                        float* packed) {
  const int k = ft::kernel_size(*p);
  ft::pack({.b = w, .b_row = 1, .b_col = k}, k, p->out_c, packed);
}

void ft_conv2d_f32_hwy_packed(const void* params, const ft_args* args) {
  ft::conv2d<float>(*static_cast<const ft_conv_params*>(params), args,
                    static_cast<const float*>(args->aux[0]));
}

void ft_conv2d_f32_hwy(const void* params, const ft_args* args) {
  ft::conv2d<float>(*static_cast<const ft_conv_params*>(params), args, nullptr);
}

void ft_conv2d_s8f32_hwy(const void* params, const ft_args* args) {
  ft::conv2d<int8_t>(*static_cast<const ft_conv_params*>(params), args,
                     nullptr);
}
