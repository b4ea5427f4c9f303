// Checks and settings that the shape rules of many ops share.
//
// Shape rules see types from untrusted model files: every product of
// dimensions goes through checked_count() before a kernel may index with
// int32.
#pragma once

#include <fmt/format.h>

#include <cfloat>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "kernels/kernel.h"
#include "ops/op_def.h"

namespace ft {

constexpr bool is_real(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF64;
}

// Number of elements, or -1 if a dimension is negative or the product does not
// fit an int32 index.
constexpr int64_t checked_count(std::span<const int64_t> dims) {
  int64_t n = 1;
  for (const int64_t d : dims) {
    if (d < 0 || d > INT32_MAX) return -1;
    if (d == 0) return 0;
    n *= d;
    if (n > INT32_MAX) return -1;
  }
  return n;
}

inline Status check_count(const NodeView& node, const Shape& shape) {
  if (checked_count(shape.dims()) >= 0) return ok_status();
  return node.error(
      fmt::format("{} has more than 2^31 elements", shape.to_string()));
}

// All present inputs: fewer than 2^31 elements, and int8 only with a quantizer.
inline Status check_inputs_indexable(const NodeView& node) {
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    if (!node.has(i)) continue;
    FT_TRY_STATUS(check_count(node, node.shape(i)));
    if (node.in(i).dtype == DType::kS8 && node.in(i).quant.empty())
      return node.error(fmt::format("int8 input {} has no quantizer", i));
  }
  return ok_status();
}

// Input i is float32 or float64.
inline Status check_real(const NodeView& node, size_t i) {
  if (is_real(node.in(i).dtype)) return ok_status();
  return node.error(
      fmt::format("input {} is {}, not a float", i, node.in(i).to_string()));
}

// Input i is a float, or int8 with one positive scale for the whole tensor.
inline Status check_real_or_per_tensor(const NodeView& node, size_t i) {
  if (node.in(i).dtype != DType::kS8) return check_real(node, i);
  const QuantParams& q = node.in(i).quant;
  if (q.scale.size() != 1 || q.zero_point.size() != 1)
    return node.error(
        fmt::format("input {} must have one scale, not {}", i, q.scale.size()));
  if (q.scale[0] > 0 && q.scale[0] <= FLT_MAX && q.zero_point[0] >= -128 &&
      q.zero_point[0] <= 127)
    return ok_status();
  return node.error(fmt::format("input {} has scale {} and zero point {}", i,
                                q.scale[0], q.zero_point[0]));
}

inline Status check_same_shape(const NodeView& node, size_t i, size_t j) {
  if (node.shape(i) == node.shape(j)) return ok_status();
  return node.error(fmt::format("inputs {} and {} differ in shape: {} and {}",
                                i, j, node.shape(i).to_string(),
                                node.shape(j).to_string()));
}

inline Status check_same_dtype(const NodeView& node, size_t i, size_t j) {
  if (node.in(i).dtype == node.in(j).dtype) return ok_status();
  return node.error(fmt::format("inputs {} and {} differ in dtype: {} and {}",
                                i, j, name_of(node.in(i).dtype),
                                name_of(node.in(j).dtype)));
}

// Input i is the step's scalars, which the caller writes before each run.
inline Status check_hyper(const NodeView& node, size_t i) {
  if (node.in(i).dtype == DType::kF32 && node.shape(i) == Shape{4})
    return ok_status();
  return node.error(
      fmt::format("hyper must be float32[4], got {}", node.in(i).to_string()));
}

// Type of a loss: one element.
inline std::vector<TensorType> loss_type(const NodeView& node) {
  return {{.dtype = node.in(0).dtype, .shape = {1}, .quant = {}}};
}

// Type of a loss's gradient by input 0; input 2 is the gradient of the loss.
inline Result<std::vector<TensorType>> loss_grad_type(const NodeView& node) {
  FT_TRY_STATUS(check_same_dtype(node, 0, 2));
  if (node.shape(2).num_elements() != 1)
    return node.error(fmt::format("dloss must have one element, got {}",
                                  node.shape(2).to_string()));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = node.shape(0), .quant = {}}};
}

inline Status check_act(const NodeView& node) {
  const int64_t act = node.attrs->get_int("act", FT_ACT_NONE);
  if (act >= FT_ACT_NONE && act <= FT_ACT_RELU_N1) return ok_status();
  return node.error(fmt::format("unknown fused activation {}", act));
}

}  // namespace ft
