// Float gradients of a convolution as matrix products (gemm.h). int8 weights
// are made float while packed, int8 images while copied.
#include <algorithm>

#include "kernels/conv2d/conv2d.h"
#include "kernels/conv2d/im2col.h"
#include "kernels/matmul/gemm.h"

namespace ft {
namespace {

bool needs_packing(const ft_conv_params& p, bool w_is_s8) {
  return w_is_s8 || kernel_size(p) % kGemmPanel != 0;
}

// Columns of a pointwise layer's weights that are packed at a time: the scratch
// of an int8 64 x 64 layer is then 8 KB instead of 16.
constexpr int kPackedColumns = 2 * kGemmPanel;

// How many columns of w one packing covers.
int columns_at_once(const ft_conv_params& p) {
  const int size = kernel_size(p);
  return is_pointwise(p) ? std::min(size, kPackedColumns) : size;
}

void add_run(const float* from, int count, float* to) {
  for (int i = 0; i < count; ++i) to[i] += from[i];
}

// dx from blocks of dy w, each row of which belongs to the window of a pixel.
void scatter_products(const ft_conv_params& p, GemmArgs g, float* rows,
                      float* dx) {
  const int pixels = ft_num_pixels(&p);
  std::fill_n(dx, static_cast<ptrdiff_t>(p.batch) * p.in_h * p.in_w * p.in_c,
              0.0f);
  g.c = rows;
  for (int first = 0; first < pixels; first += kIm2colRows) {
    g.m = std::min(kIm2colRows, pixels - first);
    gemm(g);
    g.a += g.m * g.a_row;
    for (int i = 0; i < g.m; ++i) {
      const ft_window win = ft_window_of(&p, first + i);
      for_each_run(p, win, [&](int to, int from, int run) {
        add_run(rows + i * g.c_row + from, run, dx + to);
      });
    }
  }
}

// dx of a pointwise layer whose weights must be packed, some columns at a time.
template <class W>
void pointwise_products(GemmArgs g, const PackSource<W>& source, int columns,
                        float* scratch) {
  const int size = g.n;
  for (int first = 0; first < size; first += columns) {
    PackSource<W> part = source;
    part.b += first;
    g.n = std::min(columns, size - first);
    pack(part, g.k, g.n, scratch);
    use_packed(g, scratch);
    gemm(g);
    g.c += g.n;
  }
}

template <class W>
void input_grad(const ft_conv_params& p, const ft_args* args,
                const float* w_scale) {
  const int size = kernel_size(p);
  const auto* w = static_cast<const W*>(args->in[1]);
  auto* dx = static_cast<float*>(args->out[0]);
  auto* scratch = static_cast<float*>(args->scratch);
  GemmArgs g{.m = ft_num_pixels(&p), .n = size, .k = p.out_c};
  g.a = static_cast<const float*>(args->in[0]);
  g.a_row = p.out_c;
  g.c = dx;
  g.c_row = size;
  if (needs_packing(p, sizeof(W) == 1)) {
    const PackSource<W> source{
        .b = w, .b_row = size, .b_col = 1, .row_scale = w_scale};
    if (is_pointwise(p))
      return pointwise_products(g, source, columns_at_once(p), scratch);
    pack(source, g.k, size, scratch);
    use_packed(g, scratch);
    scratch += packed_bytes(size, g.k) / sizeof(float);
  } else if constexpr (sizeof(W) == sizeof(float)) {
    use_rows(g, w, size);
  }
  if (is_pointwise(p)) return gemm(g);
  scatter_products(p, g, scratch, dx);
}

// Sums dy^T times blocks of im2col rows.
template <class X>
void weight_grad(const ft_conv_params& p, const ft_args* args) {
  const auto* x = static_cast<const X*>(args->in[0]);
  const int size = kernel_size(p), pixels = ft_num_pixels(&p);
  const int stride = gemm_padded(size);
  GemmArgs g{.m = p.out_c, .n = size, .k = pixels};
  g.a = static_cast<const float*>(args->in[1]);
  g.a_row = 1;
  g.a_col = p.out_c;
  g.c = static_cast<float*>(args->out[0]);
  g.c_row = size;
  g.alpha = p.x_scale;
  if constexpr (sizeof(X) == sizeof(float)) {
    if (is_pointwise(p) && stride == size) {
      use_rows(g, x, size);
      return gemm(g);
    }
  }
  auto* rows = static_cast<float*>(args->scratch);
  use_rows(g, rows, stride);
  for (int first = 0; first < pixels; first += kIm2colRows) {
    g.k = std::min(kIm2colRows, pixels - first);
    fill_im2col(p, x, first, g.k, stride, rows);
    gemm(g);
    g.a += g.k * g.a_col;
    g.accumulate = true;
  }
}

}  // namespace
}  // namespace ft

size_t ft_conv2d_input_grad_hwy_scratch_bytes(const ft_conv_params* p,
                                              int w_is_s8) {
  const int size = ft::kernel_size(*p);
  const size_t packed =
      ft::needs_packing(*p, w_is_s8)
          ? ft::packed_bytes(ft::columns_at_once(*p), p->out_c)
          : 0;
  if (ft::is_pointwise(*p)) return packed;
  return packed + sizeof(float) * static_cast<size_t>(ft::kIm2colRows) *
                      static_cast<size_t>(size);
}

size_t ft_conv2d_weight_grad_hwy_scratch_bytes(const ft_conv_params* p) {
  return ft::packed_bytes(ft::kernel_size(*p), ft::kIm2colRows);
}

void ft_conv2d_input_grad_f32_hwy(const void* params, const ft_args* args) {
  ft::input_grad<float>(*static_cast<const ft_conv_params*>(params), args,
                        nullptr);
}

void ft_conv2d_input_grad_f32s8_hwy(const void* params, const ft_args* args) {
  ft::input_grad<int8_t>(*static_cast<const ft_conv_params*>(params), args,
                         static_cast<const float*>(args->aux[0]));
}

void ft_conv2d_weight_grad_f32_hwy(const void* params, const ft_args* args) {
  ft::weight_grad<float>(*static_cast<const ft_conv_params*>(params), args);
}

void ft_conv2d_weight_grad_s8f32_hwy(const void* params, const ft_args* args) {
  ft::weight_grad<int8_t>(*static_cast<const ft_conv_params*>(params), args);
}
