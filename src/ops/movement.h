// What the ops that only move elements share: their checks, one kernel row for
// every dtype, and the reduction of a strided pattern to its simplest form.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "kernels/strided/strided.h"
#include "ops/checks.h"

namespace ft {

// Input `i` has at least one element, fewer than 2^31, and at most one scale.
Status check_movable(const NodeView& node, size_t i = 0);
// `shape` has at least one element and fewer than 2^31.
Status check_filled(const NodeView& node, const Shape& shape);
// The attribute `name` as one integer for each dimension of input 0.
Result<std::vector<int64_t>> ints_per_dim(const NodeView& node,
                                          std::string_view name);
// The attribute `axis` in [0, rank of input 0).
Result<int> axis_of(const NodeView& node);

// The type of input 0 with another shape.
TensorType retyped(const NodeView& node, const Shape& shape);

// Distance in elements between neighbours along each dimension, row major.
std::vector<int64_t> strides_of(const Shape& shape);

// Dense side `dims`, see kernels/strided/strided.h. Neighbouring dimensions
// that are walked as one are merged, so that rows get long. Every argument
// must come from shapes that passed check_filled().
ft_strided_params strided_params(DType dtype, std::span<const int64_t> dims,
                                 std::span<const int64_t> strides,
                                 int64_t offset, int64_t count);

// Parameters and aux[0] of ft_table_read_bytes_c99: one table of offsets for
// each dimension of the dense side.
void set_table_read(DType dtype, std::span<const std::vector<int64_t>> tables,
                    Lowered& lowered);

// Elements before, along and after `axis`.
struct AxisSplit {
  int32_t outer = 1, dim = 1, inner = 1;
};
AxisSplit split_at(const Shape& shape, int axis);

// One C99 row for each dtype, all running the same function.
using AcceptsFn = bool (*)(const LowerContext&, const Lowered&);
constexpr std::array<KernelDef, 10> byte_rows(std::string_view symbol,
                                              ft_kernel_fn run,
                                              AcceptsFn accepts = nullptr) {
  constexpr std::string_view kSignatures[] = {
      "f32->f32", "f64->f64", "s8->s8",   "u8->u8",     "s16->s16",
      "s32->s32", "s64->s64", "f16->f16", "bf16->bf16", "bool->bool"};
  std::array<KernelDef, 10> rows{};
  for (size_t i = 0; i < rows.size(); ++i)
    rows[i] = {symbol, Isa::kC99, kSignatures[i], run, accepts};
  return rows;
}

// Two tables of rows as one.
template <size_t kN, size_t kM>
constexpr std::array<KernelDef, kN + kM> joined(
    const std::array<KernelDef, kN>& a, const std::array<KernelDef, kM>& b) {
  std::array<KernelDef, kN + kM> rows{};
  for (size_t i = 0; i < kN; ++i) rows[i] = a[i];
  for (size_t i = 0; i < kM; ++i) rows[kN + i] = b[i];
  return rows;
}

}  // namespace ft
