// Lengths of adapted weights, a block of outputs at a time: the weights first,
// then scaling b a is added by the shared product of gemm.h.
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "kernels/matmul/gemm.h"
#include "kernels/weight_norm/weight_norm.h"

namespace ft {
namespace {

constexpr int kOutputs = 24;

void copy_weights(const float* w, int count, float, float* to) {
  std::copy_n(w, count, to);
}
void copy_weights(const int8_t* w, int count, float scale, float* to) {
  dequantize_run(w, count, 0, scale, to);
}

// The base weights of output o, as floats.
template <class W>
void fill_row(const ft_weight_norm_params& p, const W* w, int o, float scale,
              float* to) {
  w += static_cast<ptrdiff_t>(o) * p.out_step;
  if (p.step == 1) return copy_weights(w, p.columns, scale, to);
  for (int j = 0; j < p.columns; ++j)
    to[j] = static_cast<float>(w[static_cast<ptrdiff_t>(j) * p.step]) * scale;
}

template <class W>
void weight_norm(const ft_weight_norm_params& p, const ft_args* args,
                 const float* scales) {
  const auto* w = static_cast<const W*>(args->in[0]);
  const auto* b = static_cast<const float*>(args->in[2]);
  auto* norm = static_cast<float*>(args->out[0]);
  auto* const packed_a = static_cast<float*>(args->scratch);
  float* const rows =
      packed_a + packed_bytes(p.columns, p.rank) / sizeof(float);
  pack(PackSource<float>{.b = static_cast<const float*>(args->in[1]),
                         .b_row = p.columns,
                         .b_col = 1},
       p.rank, p.columns, packed_a);
  GemmArgs g{.n = p.columns, .k = p.rank};
  g.a_row = p.rank;
  use_packed(g, packed_a);
  g.c = rows;
  g.c_row = p.columns;
  g.alpha = p.scaling;
  g.accumulate = true;
  for (int first = 0; first < p.rows; first += kOutputs) {
    g.m = std::min(kOutputs, p.rows - first);
    g.a = b + static_cast<ptrdiff_t>(first) * p.rank;
    for (int i = 0; i < g.m; ++i)
      fill_row(p, w, first + i, scales ? scales[first + i] : 1.0f,
               rows + i * g.c_row);
    gemm(g);
    for (int i = 0; i < g.m; ++i) {
      const float* const row = rows + i * g.c_row;
      float squares = 0;
      dot_rows(row, row, 1, p.columns, &squares);
      norm[first + i] = std::max(std::sqrt(squares), FLT_MIN);
    }
  }
}

}  // namespace
}  // namespace ft

size_t ft_weight_norm_hwy_scratch_bytes(const ft_weight_norm_params* p) {
  return ft::packed_bytes(p->columns, p->rank) +
         sizeof(float) * static_cast<size_t>(ft::kOutputs) *
             static_cast<size_t>(p->columns);
}

void ft_weight_norm_f32_hwy(const void* params, const ft_args* args) {
  ft::weight_norm<float>(*static_cast<const ft_weight_norm_params*>(params),
                         args, nullptr);
}

void ft_weight_norm_s8_hwy(const void* params, const ft_args* args) {
  ft::weight_norm<int8_t>(*static_cast<const ft_weight_norm_params*>(params),
                          args, static_cast<const float*>(args->aux[0]));
}
