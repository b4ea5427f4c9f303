// Operators that take parts of a tensor.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "formats/tflite/importer.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

Status emit_split(OpImport& op, ValueId x, int64_t axis,
                  const std::vector<int64_t>& sizes) {
  if (sizes.size() == 1) {
    const auto dims = op.shape(x).dims();
    return op.emit(ops::kReshape, {x},
                   {{"shape", std::vector<int64_t>(dims.begin(), dims.end())}});
  }
  return op.emit(ops::kSplit, {x}, {{"axis", axis}, {"sizes", sizes}});
}

// Operands: axis, x.
Status import_split(OpImport& op) {
  FT_TRY_STATUS(op.expect(2, 2, op.num_outputs()));
  FT_TRY(const ValueId x, op.input(1));
  FT_TRY(const int64_t where, op.single_int(0));
  FT_TRY(const int64_t axis, normal_axis(op, where, op.shape(x).rank()));
  const auto parts = static_cast<int64_t>(op.num_outputs());
  const int64_t size = op.shape(x)[static_cast<int>(axis)];
  if (parts < 1 || parts > 64 || size % parts != 0)
    return op.error(fmt::format("cannot split {} into {} parts", size, parts));
  return emit_split(
      op, x, axis,
      std::vector<int64_t>(static_cast<size_t>(parts), size / parts));
}

// Operands: x, sizes, axis. One size may be -1: whatever is left.
Status import_split_v(OpImport& op) {
  FT_TRY_STATUS(op.expect(3, 3, op.num_outputs()));
  FT_TRY(const ValueId x, op.input(0));
  FT_TRY(std::vector<int64_t> sizes, op.ints(1));
  FT_TRY(const int64_t where, op.single_int(2));
  FT_TRY(const int64_t axis, normal_axis(op, where, op.shape(x).rank()));
  const int64_t size = op.shape(x)[static_cast<int>(axis)];
  int64_t known = 0;
  for (const int64_t s : sizes) known += std::max<int64_t>(s, 0);
  if (const auto open = std::ranges::find(sizes, -1); open != sizes.end())
    *open = size - known;
  if (sizes.empty() || std::ranges::any_of(sizes, [](auto s) { return s < 1; }))
    return op.error("has a part without elements");
  return emit_split(op, x, axis, sizes);
}

// The inverse of PACK: split, then drop the axis.
Status import_unpack(OpImport& op) {
  FT_TRY_STATUS(op.expect(1, 1, op.num_outputs()));
  FT_TRY(const auto* options, op.options<tfl::UnpackOptions>());
  FT_TRY(const ValueId x, op.input(0));
  const Shape in = op.shape(x);
  FT_TRY(const int64_t axis, normal_axis(op, options->axis(), in.rank()));
  const int64_t size = in[static_cast<int>(axis)];
  if (size != static_cast<int64_t>(op.num_outputs()) || size > 64)
    return op.error(fmt::format("cannot unpack {} indices into {} outputs",
                                size, op.num_outputs()));
  std::vector<int64_t> dims(in.dims().begin(), in.dims().end());
  dims.erase(dims.begin() + axis);
  std::vector<ValueId> parts = {x};
  if (size > 1) {
    const std::vector<int64_t> ones(static_cast<size_t>(size), 1);
    FT_TRY(parts,
           op.inner_all(ops::kSplit, {x}, {{"axis", axis}, {"sizes", ones}}));
  }
  for (size_t i = 0; i < parts.size(); ++i) {
    FT_TRY(const ValueId part,
           op.inner(ops::kReshape, {parts[i]}, {{"shape", dims}}));
    FT_TRY_STATUS(op.finish(i, part));
  }
  return ok_status();
}

Status import_slice(OpImport& op) {
  FT_TRY_STATUS(op.expect(3, 3, 1));
  FT_TRY(const ValueId x, op.input(0));
  FT_TRY(const std::vector<int64_t> begin, op.ints(1, Shape::kMaxRank));
  FT_TRY(std::vector<int64_t> size, op.ints(2, Shape::kMaxRank));
  const Shape& in = op.shape(x);
  if (begin.size() != size.size() ||
      begin.size() != static_cast<size_t>(in.rank()))
    return op.error(fmt::format("{} begins and {} sizes for {} dimensions",
                                begin.size(), size.size(), in.rank()));
  for (size_t d = 0; d < size.size(); ++d)
    if (size[d] == -1) size[d] = in[static_cast<int>(d)] - begin[d];
  // The batch axis is taken whole or not at all; a changed batch stays whole.
  if (op.changes_batch()) {
    FT_TRY(const Shape out, op.output_shape());
    const auto axis = static_cast<size_t>(op.batch_axis());
    if (axis < begin.size() && begin[axis] == 0)
      size[axis] = out[op.batch_axis()];
  }
  return op.emit(ops::kSlice, {x}, {{"begin", begin}, {"size", size}});
}

// What a strided slice does to the axes of x, one entry an axis of x, and the
// shape after new axes are added and single indices dropped.
struct StridedPlan {
  std::vector<int64_t> begin, stride, size;
  std::vector<int64_t> result;
};

struct StridedSpec {
  std::vector<int64_t> begin, end, stride;
  int begin_mask, end_mask, ellipsis_mask, new_axis_mask, shrink_axis_mask;

  bool has(int mask, size_t i) const { return (mask >> i & 1) != 0; }
};

void take_all(StridedPlan& plan, int64_t dim) {
  plan.begin.push_back(0);
  plan.stride.push_back(1);
  plan.size.push_back(dim);
  plan.result.push_back(dim);
}

Status take_range(const OpImport& op, const StridedSpec& spec, size_t i,
                  int64_t dim, StridedPlan& plan) {
  const int64_t stride = spec.stride[i];
  if (stride == 0) return op.error("a stride is 0");
  const bool shrink = spec.has(spec.shrink_axis_mask, i);
  const auto clamp = [&](int64_t v) {
    if (v < 0) v += dim;
    return stride > 0 ? std::clamp<int64_t>(v, 0, dim)
                      : std::clamp<int64_t>(v, -1, dim - 1);
  };
  int64_t begin = clamp(spec.begin[i]), end = clamp(spec.end[i]);
  if (spec.has(spec.begin_mask, i) && !shrink) begin = stride > 0 ? 0 : dim - 1;
  if (spec.has(spec.end_mask, i)) end = stride > 0 ? dim : -1;
  int64_t size = stride > 0 ? (end - begin + stride - 1) / stride
                            : (begin - end - stride - 1) / -stride;
  if (shrink) size = 1;
  if (size < 1 || begin < 0 || begin >= dim)
    return op.error(fmt::format("takes nothing from an axis of {}", dim));
  plan.begin.push_back(begin);
  plan.stride.push_back(shrink ? 1 : stride);
  plan.size.push_back(size);
  if (!shrink) plan.result.push_back(size);
  return ok_status();
}

Result<StridedPlan> plan_strided(const OpImport& op, const StridedSpec& spec,
                                 const Shape& in) {
  const size_t entries = spec.begin.size();
  size_t used = 0;  // axes of x that entries other than an ellipsis consume
  for (size_t i = 0; i < entries; ++i)
    used +=
        !spec.has(spec.new_axis_mask, i) && !spec.has(spec.ellipsis_mask, i);
  const auto rank = static_cast<size_t>(in.rank());
  if (used > rank)
    return op.error(fmt::format("slices {} axes of {}", used, rank));
  StridedPlan plan;
  size_t skipped = rank - used;
  const auto dim = [&] { return in[static_cast<int>(plan.begin.size())]; };
  for (size_t i = 0; i < entries; ++i) {
    if (spec.has(spec.ellipsis_mask, i)) {
      for (; skipped > 0; --skipped) take_all(plan, dim());
    } else if (spec.has(spec.new_axis_mask, i)) {
      plan.result.push_back(1);
    } else {
      FT_TRY_STATUS(take_range(op, spec, i, dim(), plan));
    }
  }
  while (plan.begin.size() < rank) take_all(plan, dim());
  if (plan.result.size() > Shape::kMaxRank)
    return op.error(fmt::format("makes {} dimensions", plan.result.size()));
  return plan;
}

Status import_strided_slice(OpImport& op) {
  FT_TRY_STATUS(op.expect(4, 4, 1));
  FT_TRY(const auto* options, op.options<tfl::StridedSliceOptions>());
  if (op.is_dimensions(0)) {
    op.finish_as_dimensions();
    return ok_status();
  }
  if (options->offset()) return op.error("relative ends are not supported");
  FT_TRY(const ValueId x, op.input(0));
  StridedSpec spec{.begin = {},
                   .end = {},
                   .stride = {},
                   .begin_mask = options->begin_mask(),
                   .end_mask = options->end_mask(),
                   .ellipsis_mask = options->ellipsis_mask(),
                   .new_axis_mask = options->new_axis_mask(),
                   .shrink_axis_mask = options->shrink_axis_mask()};
  FT_TRY(spec.begin, op.ints(1, 2 * Shape::kMaxRank));
  FT_TRY(spec.end, op.ints(2, 2 * Shape::kMaxRank));
  FT_TRY(spec.stride, op.ints(3, 2 * Shape::kMaxRank));
  if (spec.begin.size() != spec.end.size() ||
      spec.begin.size() != spec.stride.size())
    return op.error("begin, end and strides differ in length");
  FT_TRY(const StridedPlan plan, plan_strided(op, spec, op.shape(x)));
  FT_TRY(const ValueId part, op.inner(ops::kStridedSlice, {x},
                                      {{"begin", plan.begin},
                                       {"strides", plan.stride},
                                       {"size", plan.size}}));
  return op.emit(ops::kReshape, {part}, {{"shape", plan.result}});
}

Status import_gather(OpImport& op) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  const auto* options = op.options_or_null<tfl::GatherOptions>();
  if (op.is_dimensions(0)) {
    op.finish_as_dimensions();
    return ok_status();
  }
  if (options != nullptr && options->batch_dims() != 0)
    return op.error("batch dimensions are not supported");
  FT_TRY(const ValueId x, op.input(0));
  FT_TRY(const ValueId indices, op.input(1));
  FT_TRY(const int64_t axis,
         normal_axis(op, options == nullptr ? 0 : options->axis(),
                     op.shape(x).rank()));
  if (op.type(indices).dtype != DType::kS32)
    return op.error(fmt::format("indices are {}, only int32 is supported",
                                name_of(op.type(indices).dtype)));
  const int64_t dim = op.shape(x)[static_cast<int>(axis)];
  for (const int32_t i : data_of<int32_t>(op.graph().value(indices)))
    if (i < 0 || i >= dim)
      return op.error(fmt::format("index {} is outside of {}", i, dim));
  return op.emit(ops::kGather, {x, indices}, {{"axis", axis}});
}

constexpr OperatorImporter kImporters[] = {
    {tfl::BuiltinOperator::SPLIT, import_split},
    {tfl::BuiltinOperator::SPLIT_V, import_split_v},
    {tfl::BuiltinOperator::UNPACK, import_unpack},
    {tfl::BuiltinOperator::SLICE, import_slice},
    {tfl::BuiltinOperator::STRIDED_SLICE, import_strided_slice},
    {tfl::BuiltinOperator::GATHER, import_gather},
};

}  // namespace

std::span<const OperatorImporter> slicing_importers() { return kImporters; }

}  // namespace ft
