#include "ops/movement.h"

#include <algorithm>

namespace ft {

Status check_filled(const NodeView& node, const Shape& shape) {
  FT_TRY_STATUS(check_count(node, shape));
  if (checked_count(shape.dims()) > 0) return ok_status();
  return node.error(fmt::format("{} has no elements", shape.to_string()));
}

Status check_movable(const NodeView& node, size_t i) {
  FT_TRY_STATUS(check_filled(node, node.shape(i)));
  const TensorType& x = node.in(i);
  if (x.dtype == DType::kS8 && x.quant.empty())
    return node.error(fmt::format("int8 input {} has no quantizer", i));
  if (!x.quant.is_per_channel()) return ok_status();
  return node.error(fmt::format("input {} must have one scale, not {}", i,
                                x.quant.scale.size()));
}

Result<std::vector<int64_t>> ints_per_dim(const NodeView& node,
                                          std::string_view name) {
  std::vector<int64_t> ints = node.attrs->get_ints(name);
  if (ints.size() == static_cast<size_t>(node.shape(0).rank())) return ints;
  return node.error(fmt::format("`{}` has {} numbers for the shape {}", name,
                                ints.size(), node.shape(0).to_string()));
}

Result<int> axis_of(const NodeView& node) {
  const int64_t axis = node.attrs->get_int("axis");
  if (axis >= 0 && axis < node.shape(0).rank()) return static_cast<int>(axis);
  return node.error(fmt::format("axis {} is not one of the shape {}", axis,
                                node.shape(0).to_string()));
}

TensorType retyped(const NodeView& node, const Shape& shape) {
  TensorType type = node.in(0);
  type.shape = shape;
  return type;
}

std::vector<int64_t> strides_of(const Shape& shape) {
  std::vector<int64_t> strides(static_cast<size_t>(shape.rank()), 1);
  for (size_t i = strides.size(); i-- > 1;)
    strides[i - 1] = strides[i] * shape[static_cast<int>(i)];
  return strides;
}

ft_strided_params strided_params(DType dtype, std::span<const int64_t> dims,
                                 std::span<const int64_t> strides,
                                 int64_t offset, int64_t count) {
  ft_strided_params p{.elem_bytes = static_cast<int32_t>(size_of(dtype)),
                      .dims = {},
                      .strides = {},
                      .offset = static_cast<int32_t>(offset),
                      .count = static_cast<int32_t>(count)};
  std::fill_n(p.dims, FT_STRIDED_RANK, 1);
  int at = FT_STRIDED_RANK;  // the last dimension placed
  for (size_t i = dims.size(); i-- > 0;) {
    if (dims[i] == 1) continue;
    const bool merges =
        at < FT_STRIDED_RANK &&
        strides[i] == static_cast<int64_t>(p.dims[at]) * p.strides[at];
    if (merges) {
      p.dims[at] *= static_cast<int32_t>(dims[i]);
      continue;
    }
    --at;
    p.dims[at] = static_cast<int32_t>(dims[i]);
    p.strides[at] = static_cast<int32_t>(strides[i]);
  }
  // A lone element is a row of one.
  if (at == FT_STRIDED_RANK) p.strides[FT_STRIDED_RANK - 1] = 1;
  return p;
}

void set_table_read(DType dtype, std::span<const std::vector<int64_t>> tables,
                    Lowered& lowered) {
  ft_strided_params p{.elem_bytes = static_cast<int32_t>(size_of(dtype)),
                      .dims = {},
                      .strides = {},
                      .offset = 0,
                      .count = 0};
  std::fill_n(p.dims, FT_STRIDED_RANK, 1);
  const size_t unused = FT_STRIDED_RANK - tables.size();
  std::vector<int32_t> all(unused, 0);
  for (size_t d = 0; d < tables.size(); ++d) {
    p.dims[unused + d] = static_cast<int32_t>(tables[d].size());
    for (const int64_t offset : tables[d])
      all.push_back(static_cast<int32_t>(offset));
  }
  lowered.set_params(p);
  lowered.add_aux<int32_t>(all);
}

AxisSplit split_at(const Shape& shape, int axis) {
  AxisSplit split;
  for (int i = 0; i < axis; ++i) split.outer *= static_cast<int32_t>(shape[i]);
  split.dim = static_cast<int32_t>(shape[axis]);
  for (int i = axis + 1; i < shape.rank(); ++i)
    split.inner *= static_cast<int32_t>(shape[i]);
  return split;
}

}  // namespace ft
