// The op that keeps the largest entries of a gradient, float or integer, and
// what the updates that take them check.
#pragma once

#include <algorithm>
#include <cmath>

#include "ops/checks.h"

namespace ft::ops {

extern const OpDef kTopGradient;

// How many entries of input 0 attribute `fraction` keeps: rounded up.
inline int64_t kept_entries(const NodeView& node) {
  const int64_t count = node.shape(0).num_elements();
  const double kept =
      std::ceil(node.attrs->get_real("fraction") * static_cast<double>(count));
  return std::clamp<int64_t>(static_cast<int64_t>(kept), 1, count);
}

// Values like input 0, and their positions.
inline Result<std::vector<TensorType>> kept_types(const NodeView& node) {
  const double fraction = node.attrs->get_real("fraction");
  if (!(fraction > 0 && fraction <= 1))
    return node.error(fmt::format(
        "fraction is {}; it must lie above 0 and up to 1", fraction));
  if (node.shape(0).num_elements() < 1)
    return node.error("a gradient without entries");
  const Shape shape{kept_entries(node)};
  TensorType values = node.in(0);
  values.shape = shape;
  return std::vector<TensorType>{
      values, {.dtype = DType::kS32, .shape = shape, .quant = {}}};
}

// An update's gradient, input `grad`: like the parameter, input 0, or with
// input `positions` one value for each of them.
inline Status check_gradient(const NodeView& node, size_t grad,
                             size_t positions) {
  if (!node.has(positions)) return check_same_shape(node, 0, grad);
  const Shape& kept = node.shape(positions);
  if (node.in(positions).dtype != DType::kS32 || kept.rank() != 1 ||
      kept[0] > node.shape(0).num_elements())
    return node.error(fmt::format("positions are {} for a parameter {}",
                                  node.in(positions).to_string(),
                                  node.shape(0).to_string()));
  return check_same_shape(node, grad, positions);
}

}  // namespace ft::ops
