// Rows of an image under the kernel at consecutive output pixels, as floats:
// what turns a convolution into a matrix product. One group only.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernels/conv2d/conv_params.h"
#include "kernels/matmul/gemm.h"

namespace ft {

// Pixels of a block: enough for the product to run at full speed, few enough
// for a block to stay in the L1 or L2 cache.
constexpr int kIm2colRows = 48;

constexpr int kernel_size(const ft_conv_params& p) {
  return p.k_h * p.k_w * (p.in_c / p.groups);
}

// The matrix is the image itself.
constexpr bool is_pointwise(const ft_conv_params& p) {
  return p.k_h == 1 && p.k_w == 1 && p.stride_h == 1 && p.stride_w == 1 &&
         p.pad_top == 0 && p.pad_left == 0 && p.out_h == p.in_h &&
         p.out_w == p.in_w;
}

// Runs are often shorter than the call of a copying function costs.
inline void copy_run(const float* x, int count, int32_t, float* out) {
  int i = 0;
  for (; i + 4 <= count; i += 4) std::memcpy(out + i, x + i, 4 * sizeof(float));
  for (; i < count; ++i) out[i] = x[i];
}

inline void copy_run(const int8_t* x, int count, int32_t zero_point,
                     float* out) {
  if (count >= kGemmPanel) return dequantize_run(x, count, zero_point, 1, out);
  for (int i = 0; i < count; ++i)
    out[i] = static_cast<float>(x[i] - zero_point);
}

// Calls visit(index in x, index in the row, count) for each contiguous run.
template <class Visit>
inline void for_each_run(const ft_conv_params& p, const ft_window& win,
                         Visit visit) {
  const int step = ft_run_columns(&p, &win);
  for (int ky = win.ky_begin; ky < win.ky_end; ++ky)
    for (int kx = win.kx_begin; kx < win.kx_end; kx += step)
      visit(ft_x_index(&p, &win, ky, kx), (ky * p.k_w + kx) * p.in_c,
            step * p.in_c);
}

inline void zero_run(int count, float* out) {
  for (int i = 0; i < count; ++i) out[i] = 0;
}

// One row of the matrix, kernel row by kernel row: what lies left of the image,
// in it, and right of it.
template <class X>
inline void fill_row(const ft_conv_params& p, const ft_window& win, const X* x,
                     float* row) {
  const int run = p.k_w * p.in_c;
  const int left = win.kx_begin * p.in_c, right = win.kx_end * p.in_c;
  const X* from = x + ft_x_index(&p, &win, win.ky_begin, win.kx_begin);
  const ptrdiff_t step = static_cast<ptrdiff_t>(p.dilation_h) * p.in_w * p.in_c;
  zero_run(win.ky_begin * run, row);
  for (int ky = win.ky_begin; ky < win.ky_end; ++ky, from += step) {
    float* const to = row + ky * run;
    zero_run(left, to);
    copy_run(from, right - left, p.x_zero_point, to + left);
    zero_run(run - right, to + right);
  }
  zero_run((p.k_h - win.ky_end) * run, row + win.ky_end * run);
}

// Rows first .. first + count, `row_stride` floats apart; int8 x gives q minus
// the zero point, so padding is 0 for both. What lies between kernel_size()
// and row_stride becomes 0 too.
template <class X>
void fill_im2col(const ft_conv_params& p, const X* x, int first, int count,
                 int row_stride, float* rows) {
  const int size = kernel_size(p);
  ft_cursor at = ft_cursor_at(&p, first);
  for (int i = 0; i < count; ++i, rows += row_stride) {
    const ft_window win = ft_cursor_window(&p, &at);
    ft_cursor_next(&p, &at);
    zero_run(row_stride - size, rows + size);
    if (p.dilation_w == 1) {
      fill_row(p, win, x, rows);
      continue;
    }
    zero_run(size, rows);
    for_each_run(p, win, [&](int from, int to, int run) {
      copy_run(x + from, run, p.x_zero_point, rows + to);
    });
  }
}

}  // namespace ft
