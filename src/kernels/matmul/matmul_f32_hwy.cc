// Float matmul on the shared product of gemm.h; b may be int8, which is made
// float while it is packed.
#include <algorithm>

#include "kernels/matmul/gemm.h"
#include "kernels/matmul/matmul.h"

namespace ft {
namespace {

// Columns that are packed and multiplied at a time.
constexpr int kColumns = 2 * kGemmPanel;

GemmArgs args_of(const ft_matmul_params& p, const float* a, float* c) {
  GemmArgs g{.m = p.m, .n = p.n, .k = p.k, .a = a, .c = c, .c_row = p.n};
  g.a_row = p.trans_a ? 1 : p.k;
  g.a_col = p.trans_a ? p.m : 1;
  g.alpha = p.alpha;
  return g;
}

template <class B>
PackSource<B> source_of(const ft_matmul_params& p, const B* b,
                        const float* scale) {
  PackSource<B> s{
      .b = b, .b_row = p.trans_b ? 1 : p.n, .b_col = p.trans_b ? p.k : 1};
  s.zero_point = p.b_zero_point;
  if (scale && p.scale_axis == FT_SCALE_PER_TENSOR) s.scale = scale[0];
  if (scale && p.scale_axis == FT_SCALE_ALONG_K) s.row_scale = scale;
  if (scale && p.scale_axis == FT_SCALE_ALONG_MN) s.column_scale = scale;
  return s;
}

template <class B>
void multiply_packed(const ft_matmul_params& p, const float* a,
                     PackSource<B> source, float* c, float* packed) {
  GemmArgs g = args_of(p, a, c);
  for (int j = 0; j < p.n; j += kColumns) {
    g.n = std::min(kColumns, p.n - j);
    pack(source, p.k, g.n, packed);
    use_packed(g, packed);
    gemm(g);
    source.b += source.b_col * kColumns;
    if (source.column_scale) source.column_scale += kColumns;
    g.c += kColumns;
  }
}

// Few columns of c: products along k, of b^T packed in scratch.
bool has_few_columns(const ft_matmul_params& p) {
  return !p.trans_a && p.n <= kMaxNarrow && p.k % kGemmPanel == 0 && p.m > 4;
}

void multiply_few_columns(const ft_matmul_params& p, const float* a,
                          const float* b, float* c, float* bt) {
  const int b_row = p.trans_b ? 1 : p.n, b_col = p.trans_b ? p.k : 1;
  float* to = bt;
  for (int j = 0; j < narrow_columns(p.n); ++j)
    for (int l = 0; l < p.k; ++l)
      *to++ = j < p.n ? b[l * b_row + j * b_col] : 0.0f;
  gemm_narrow({.m = p.m,
               .n = p.n,
               .k = p.k,
               .a = a,
               .a_row = p.k,
               .bt = bt,
               .c = c,
               .c_row = p.n,
               .alpha = p.alpha});
}

// Few columns of c but many rows, a stored [k, m]: c^T = b^T a has its vectors
// along m.
bool is_narrow(const ft_matmul_params& p) {
  return p.trans_a && !p.trans_b && p.n < kGemmPanel && p.m % kGemmPanel == 0;
}

void multiply_narrow(const ft_matmul_params& p, const float* a, const float* b,
                     float* c, float* transposed) {
  GemmArgs g{.m = p.n, .n = p.m, .k = p.k, .a = b, .a_row = 1, .a_col = p.n};
  use_rows(g, a, p.m);
  g.c = transposed;
  g.c_row = p.m;
  g.alpha = p.alpha;
  gemm(g);
  for (int i = 0; i < p.m; ++i)
    for (int j = 0; j < p.n; ++j) c[i * p.n + j] = transposed[j * p.m + i];
}

void multiply(const ft_matmul_params& p, const float* a, const float* b,
              float* c, float* scratch) {
  if (has_few_columns(p)) return multiply_few_columns(p, a, b, c, scratch);
  if (is_narrow(p)) return multiply_narrow(p, a, b, c, scratch);
  if (p.trans_b || p.n % kGemmPanel != 0)
    return multiply_packed(p, a, source_of(p, b, nullptr), c, scratch);
  GemmArgs g = args_of(p, a, c);
  use_rows(g, b, p.n);
  gemm(g);
}

}  // namespace
}  // namespace ft

int ft_matmul_skip_a_hwy_accepts(const ft_matmul_params* p) {
  return !p->trans_b && p->batch == 1 && p->n % ft::kGemmPanel == 0;
}

size_t ft_matmul_skip_a_hwy_scratch_bytes(const ft_matmul_params* p) {
  return ft::skip_list_bytes(p->k);
}

void ft_matmul_skip_a_f32_hwy(const void* params, const ft_args* args) {
  const auto& p = *static_cast<const ft_matmul_params*>(params);
  ft::GemmArgs g = ft::args_of(p, static_cast<const float*>(args->in[0]),
                               static_cast<float*>(args->out[0]));
  ft::use_rows(g, static_cast<const float*>(args->in[1]), p.n);
  ft::gemm_skip(g, args->scratch);
}

size_t ft_matmul_hwy_scratch_bytes(const ft_matmul_params* p) {
  const size_t packed = ft::packed_bytes(ft::kColumns, p->k);
  const size_t transposed = sizeof(float) * static_cast<size_t>(p->m) *
                            static_cast<size_t>(ft::kGemmPanel);
  return ft::is_narrow(*p) ? std::max(packed, transposed) : packed;
}

void ft_matmul_f32_hwy(const void* params, const ft_args* args) {
  const auto& p = *static_cast<const ft_matmul_params*>(params);
  const auto* a = static_cast<const float*>(args->in[0]);
  const auto* b = static_cast<const float*>(args->in[1]);
  auto* c = static_cast<float*>(args->out[0]);
  for (int t = 0; t < p.batch; ++t) {
    ft::multiply(p, a, b, c, static_cast<float*>(args->scratch));
    a += static_cast<ptrdiff_t>(p.m) * p.k;
    if (!p.broadcast_b) b += static_cast<ptrdiff_t>(p.k) * p.n;
    c += static_cast<ptrdiff_t>(p.m) * p.n;
  }
}

void ft_matmul_f32s8_hwy(const void* params, const ft_args* args) {
  const auto& p = *static_cast<const ft_matmul_params*>(params);
  const auto* a = static_cast<const float*>(args->in[0]);
  const auto* b = static_cast<const int8_t*>(args->in[1]);
  const auto* scale = static_cast<const float*>(args->aux[0]);
  auto* c = static_cast<float*>(args->out[0]);
  for (int t = 0; t < p.batch; ++t) {
    ft::multiply_packed(p, a, ft::source_of(p, b, scale), c,
                        static_cast<float*>(args->scratch));
    a += static_cast<ptrdiff_t>(p.m) * p.k;
    if (!p.broadcast_b) b += static_cast<ptrdiff_t>(p.k) * p.n;
    c += static_cast<ptrdiff_t>(p.m) * p.n;
  }
}
