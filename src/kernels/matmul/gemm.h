// The one float matrix product that the Highway rows of all linear ops share.
//
// c[m, n] = clamp(bias + alpha * column_scale * (a b + a2 b2)), or added to c.
// b is read in panels of kGemmPanel columns, either packed (pack()) or directly
// from a row-major matrix whose rows may be read up to a multiple of
// kGemmPanel. Fused multiply-add, order of sums along k; results depend on the
// instruction set. No allocation, no threads. Not for products so large that
// blocking for the L2 cache pays: see matmul_f32_onednn.cc.
#pragma once

#include <cfloat>
#include <cstddef>
#include <cstdint>

#include "kernels/kernel.h"

namespace ft {

constexpr int kGemmPanel = 16;

constexpr int gemm_padded(int n) {
  return (n + kGemmPanel - 1) / kGemmPanel * kGemmPanel;
}

struct GemmArgs {
  int m = 0, n = 0, k = 0;
  const float* a = nullptr;  // element (i, l) at a[i * a_row + l * a_col]
  ptrdiff_t a_row = 0, a_col = 1;
  const float* b =
      nullptr;  // (l, j) at b[j / 16 * b_panel + l * b_row + j % 16]
  ptrdiff_t b_panel = kGemmPanel, b_row = 0;
  // Second product with rows of length k2; b2 is packed.
  int k2 = 0;
  const float* a2 = nullptr;
  ptrdiff_t a2_row = 0;
  const float* b2 = nullptr;
  const float* bias = nullptr;          // [n] or nullptr
  const float* column_scale = nullptr;  // [n] or nullptr
  float* c = nullptr;                   // row i at c + i * c_row
  ptrdiff_t c_row = 0;
  float alpha = 1;
  float low = -FLT_MAX, high = FLT_MAX;  // NaN passes
  bool clamps = false;                   // false: low and high are ignored
  bool accumulate = false;               // c += instead of c =
};

void gemm(const GemmArgs& args);

// b is the packed form of op(b)[k, n]: gemm_padded(n) * k floats.
inline void use_packed(GemmArgs& g, const float* packed) {
  g.b = packed;
  g.b_panel = static_cast<ptrdiff_t>(g.k) * kGemmPanel;
  g.b_row = kGemmPanel;
}
// b is row-major [k, n] with n a multiple of kGemmPanel.
inline void use_rows(GemmArgs& g, const float* rows, ptrdiff_t row_stride) {
  g.b = rows;
  g.b_panel = kGemmPanel;
  g.b_row = row_stride;
}

inline void set_activation(GemmArgs& g, int act) {
  g.clamps = act != FT_ACT_NONE;
  g.low = act == FT_ACT_RELU_N1 ? -1.0f : 0.0f;
  if (act == FT_ACT_RELU6) g.high = 6.0f;
  if (act == FT_ACT_RELU_N1) g.high = 1.0f;
}

constexpr size_t packed_bytes(int n, int k) {
  return sizeof(float) * static_cast<size_t>(gemm_padded(n)) *
         static_cast<size_t>(k);
}

// Packs the strided matrix (l, j) -> b[l * b_row + j * b_col] times `scale`;
// columns past n become 0. `T` is float, or int8 read as (q - zero_point) times
// column_scale[j] (if given) and row_scale[l] (if given).
template <class T>
struct PackSource {
  const T* b;
  ptrdiff_t b_row, b_col;
  float scale = 1;
  int32_t zero_point = 0;
  const float* column_scale = nullptr;
  const float* row_scale = nullptr;
};
void pack(const PackSource<float>& source, int k, int n, float* packed);
void pack(const PackSource<int8_t>& source, int k, int n, float* packed);

// c[m, n] = alpha * a[m, k] bt^T for a few columns: vectors lie along k, a
// multiple of kGemmPanel. bt has narrow_columns(n) rows of k floats.
constexpr int kNarrowColumns = 4;
constexpr int kMaxNarrow = 8;
constexpr int narrow_columns(int n) {
  return (n + kNarrowColumns - 1) / kNarrowColumns * kNarrowColumns;
}
struct NarrowArgs {
  int m, n, k;
  const float* a;
  ptrdiff_t a_row;
  const float* bt;
  float* c;
  ptrdiff_t c_row;
  float alpha;
};
void gemm_narrow(const NarrowArgs& args);

// gemm() without a2, column_scale and accumulate, for an a with many zeros: of
// each row of a, what is not 0 is listed, and only its rows of b are read. The
// bits are gemm()'s wherever b is finite. `list` needs skip_list_bytes(k).
void gemm_skip(const GemmArgs& args, void* list);
constexpr size_t skip_list_bytes(int k) {
  return 2 * sizeof(float) * static_cast<size_t>(gemm_padded(k) + kGemmPanel);
}

// out[j] = x[k] times row j of w[n, k]: what packing does not pay for.
void dot_rows(const float* x, const float* w, int n, int k, float* out);

// out[i] = (q[i] - zero_point) * scale
void dequantize_run(const int8_t* q, int count, int32_t zero_point, float scale,
                    float* out);

}  // namespace ft
