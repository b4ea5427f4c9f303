// Float fully connected layer on the shared product of gemm.h. A gain scales
// the bias, if it applies to it, beforehand.
#include <algorithm>

#include "kernels/fully_connected/fully_connected.h"
#include "kernels/matmul/gemm.h"

namespace ft {
namespace {

// Columns of unpacked weights that are packed and multiplied at a time.
constexpr int kColumns = 2 * kGemmPanel;
// Up to so many rows, dot products with the weights as they lie are cheaper
// than packing them.
constexpr int kFewRows = 4;

size_t floats(size_t bytes) { return bytes / sizeof(float); }

// Scratch: packed lora_b, the scaled bias, packed weights.
size_t lora_floats(const ft_fully_connected_params& p) {
  return floats(packed_bytes(p.n, p.rank));
}
size_t weights_at(const ft_fully_connected_params& p) {
  return lora_floats(p) + (p.gain_bias ? static_cast<size_t>(p.n) : 0);
}

GemmArgs args_of(const ft_fully_connected_params& p, const ft_args* args,
                 float* scratch) {
  const auto* gain = static_cast<const float*>(args->in[5]);
  GemmArgs g{.m = p.rows, .n = p.n, .k = p.k};
  g.a = static_cast<const float*>(args->in[0]);  // or int8: see multiply_s8()
  g.a_row = p.k;
  g.bias = static_cast<const float*>(args->in[2]);
  g.column_scale = gain;
  g.c = static_cast<float*>(args->out[0]);
  g.c_row = p.n;
  set_activation(g, p.act);
  if (g.bias && gain && p.gain_bias) {
    float* const bias = scratch + lora_floats(p);
    for (int j = 0; j < p.n; ++j) bias[j] = gain[j] * g.bias[j];
    g.bias = bias;
  }
  if (p.rank == 0) return g;
  const PackSource<float> b{.b = static_cast<const float*>(args->in[4]),
                            .b_row = 1,
                            .b_col = p.rank,
                            .scale = p.lora_scaling};
  pack(b, p.rank, p.n, scratch);
  g.k2 = p.rank;
  g.a2 = static_cast<const float*>(args->in[3]);
  g.a2_row = p.rank;
  g.b2 = scratch;
  return g;
}

// Weights that change from step to step, packed a few columns at a time.
void multiply_unpacked(GemmArgs g, const float* w, float* packed) {
  const int n = g.n;
  for (int j = 0; j < n; j += kColumns) {
    g.n = std::min(kColumns, n - j);
    pack({.b = w + static_cast<ptrdiff_t>(j) * g.k, .b_row = 1, .b_col = g.k},
         g.k, g.n, packed);
    use_packed(g, packed);
    gemm(g);
    g.c += kColumns;
    if (g.bias) g.bias += kColumns;
    if (g.column_scale) g.column_scale += kColumns;
    if (g.k2 > 0) g.b2 += static_cast<ptrdiff_t>(kColumns) * g.k2;
  }
}

// The products first, then all that gemm() adds as a product without length.
void multiply_few_rows(GemmArgs g, const float* w) {
  for (int i = 0; i < g.m; ++i) {
    float* const c = g.c + i * g.c_row;
    dot_rows(g.a + i * g.a_row, w, g.n, g.k, c);
    for (int j = 0; g.column_scale && j < g.n; ++j) c[j] *= g.column_scale[j];
  }
  g.k = 0;
  use_packed(g, w);
  g.accumulate = true;
  gemm(g);
}

// int8 rows that are made float at a time.
constexpr int kRows = 48;

// w [n, k], all of it, packed.
void pack_whole(const ft_fully_connected_params& p, const float* w,
                float* packed) {
  pack({.b = w, .b_row = 1, .b_col = p.k}, p.k, p.n, packed);
}

// Blocks of x in real units, times packed weights.
void multiply_s8(const ft_fully_connected_params& p, GemmArgs g,
                 const int8_t* x, float* rows) {
  const float* const h = g.a2;
  float* const y = g.c;
  g.a = rows;
  for (int first = 0; first < p.rows; first += kRows) {
    g.m = std::min(kRows, p.rows - first);
    dequantize_run(x + static_cast<ptrdiff_t>(first) * p.k, g.m * p.k,
                   p.x_zero_point, p.x_scale, rows);
    if (h) g.a2 = h + static_cast<ptrdiff_t>(first) * p.rank;
    g.c = y + static_cast<ptrdiff_t>(first) * p.n;
    gemm(g);
  }
}

}  // namespace
}  // namespace ft

size_t ft_fully_connected_s8f32_hwy_scratch_bytes(
    const ft_fully_connected_params* p) {
  return sizeof(float) * (ft::weights_at(*p) + static_cast<size_t>(ft::kRows) *
                                                   static_cast<size_t>(p->k)) +
         ft::packed_bytes(p->n, p->k);
}

size_t ft_fully_connected_skip_hwy_scratch_bytes(
    const ft_fully_connected_params* p) {
  return ft::packed_bytes(p->n, p->k) + ft::skip_list_bytes(p->k);
}

size_t ft_fully_connected_hwy_scratch_bytes(const ft_fully_connected_params* p,
                                            int packed) {
  const size_t first = sizeof(float) * ft::weights_at(*p);
  if (packed || p->rows <= ft::kFewRows) return first;
  return first + ft::packed_bytes(ft::kColumns, p->k);
}

size_t ft_fully_connected_hwy_packed_bytes(const ft_fully_connected_params* p) {
  return ft::packed_bytes(p->n, p->k);
}

void ft_fully_connected_hwy_pack(const ft_fully_connected_params* p,
                                 const float* w, float* packed) {
  ft::pack_whole(*p, w, packed);
}

int ft_fully_connected_hwy_packing_pays(const ft_fully_connected_params* p) {
  return p->rows > ft::kFewRows;
}

void ft_fully_connected_f32_hwy_packed(const void* params,
                                       const ft_args* args) {
  const auto& p = *static_cast<const ft_fully_connected_params*>(params);
  ft::GemmArgs g = ft::args_of(p, args, static_cast<float*>(args->scratch));
  ft::use_packed(g, static_cast<const float*>(args->aux[0]));
  ft::gemm(g);
}

void ft_fully_connected_f32_hwy(const void* params, const ft_args* args) {
  const auto& p = *static_cast<const ft_fully_connected_params*>(params);
  const auto* w = static_cast<const float*>(args->in[1]);
  auto* scratch = static_cast<float*>(args->scratch);
  const ft::GemmArgs g = ft::args_of(p, args, scratch);
  if (p.rows <= ft::kFewRows) return ft::multiply_few_rows(g, w);
  ft::multiply_unpacked(g, w, scratch + ft::weights_at(p));
}

void ft_fully_connected_s8f32_hwy(const void* params, const ft_args* args) {
  const auto& p = *static_cast<const ft_fully_connected_params*>(params);
  auto* scratch = static_cast<float*>(args->scratch);
  float* const packed = scratch + ft::weights_at(p);
  ft::GemmArgs g = ft::args_of(p, args, scratch);
  ft::pack_whole(p, static_cast<const float*>(args->in[1]), packed);
  ft::use_packed(g, packed);
  ft::multiply_s8(p, g, static_cast<const int8_t*>(args->in[0]),
                  packed + ft::floats(ft::packed_bytes(p.n, p.k)));
}

void ft_fully_connected_skip_f32_hwy(const void* params, const ft_args* args) {
  const auto& p = *static_cast<const ft_fully_connected_params*>(params);
  auto* packed = static_cast<float*>(args->scratch);
  ft::GemmArgs g = ft::args_of(p, args, packed);
  ft::pack_whole(p, static_cast<const float*>(args->in[1]), packed);
  ft::use_packed(g, packed);
  ft::gemm_skip(g, packed + ft::floats(ft::packed_bytes(p.n, p.k)));
}
