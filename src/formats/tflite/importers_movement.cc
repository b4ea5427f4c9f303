// Operators that move values: shapes, padding, joining, resizing.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "formats/tflite/importer.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

std::vector<int64_t> dims_of(const Shape& shape) {
  return {shape.dims().begin(), shape.dims().end()};
}

Status emit_reshape(OpImport& op, ValueId x, const Shape& shape) {
  return op.emit(ops::kReshape, {x}, {{"shape", dims_of(shape)}});
}

// One dimension may be -1: whatever is left. Anything else fails in the op.
Result<Shape> resolve(const OpImport& op, std::vector<int64_t> dims,
                      int64_t elements) {
  if (dims.size() > Shape::kMaxRank)
    return op.error(fmt::format("asks for {} dimensions", dims.size()));
  int64_t known = 1;
  int64_t* open = nullptr;
  for (int64_t& d : dims) {
    if (d == -1 && open == nullptr) {
      open = &d;
      continue;
    }
    if (d < 1 || d > elements)
      return op.error(fmt::format("asks for a dimension of {}", d));
    known *= d;
    if (known > elements)
      return op.error(
          fmt::format("asks for more than the {} elements there "
                      "are",
                      elements));
  }
  if (open != nullptr) *open = elements / known;
  return Shape(std::span<const int64_t>(dims));
}

// The wanted shape is a constant operand, a setting, or computed from
// dimensions; in the last case, and when the batch changes, the file's own
// result shape says it.
Status import_reshape(OpImport& op) {
  FT_TRY_STATUS(op.expect(1, 2, 1));
  FT_TRY(const ValueId x, op.input(0));
  FT_TRY(Shape shape, op.output_shape());
  const auto* options = op.options_or_null<tfl::ReshapeOptions>();
  std::vector<int64_t> dims;
  if (op.is_constant(1)) {
    FT_TRY(dims, op.ints(1, Shape::kMaxRank));
  } else if (op.has_input(1) && !op.is_dimensions(1)) {
    return op.error("computes its shape from data");
  } else if (!op.has_input(1) && options != nullptr &&
             options->new_shape() != nullptr &&
             options->new_shape()->size() <= Shape::kMaxRank) {
    dims.assign(options->new_shape()->begin(), options->new_shape()->end());
  }
  if (!dims.empty() && !op.changes_batch()) {
    FT_TRY(shape, resolve(op, dims, op.shape(x).num_elements()));
  }
  return emit_reshape(op, x, shape);
}

Status import_squeeze(OpImport& op) {
  FT_TRY_STATUS(op.expect(1, 1, 1));
  FT_TRY(const ValueId x, op.input(0));
  const Shape& in = op.shape(x);
  const auto* options = op.options_or_null<tfl::SqueezeOptions>();
  std::vector<bool> drop(static_cast<size_t>(in.rank()), false);
  const bool all = options == nullptr || options->squeeze_dims() == nullptr ||
                   options->squeeze_dims()->size() == 0;
  for (int d = 0; all && d < in.rank(); ++d)
    drop[static_cast<size_t>(d)] = in[d] == 1;
  if (!all && options->squeeze_dims()->size() > Shape::kMaxRank)
    return op.error(
        fmt::format("drops {} dimensions", options->squeeze_dims()->size()));
  for (uint32_t i = 0; !all && i < options->squeeze_dims()->size(); ++i) {
    FT_TRY(const int64_t axis,
           normal_axis(op, options->squeeze_dims()->Get(i), in.rank()));
    drop[static_cast<size_t>(axis)] = true;
  }
  std::vector<int64_t> dims;
  for (int d = 0; d < in.rank(); ++d)
    if (!drop[static_cast<size_t>(d)]) dims.push_back(in[d]);
  return emit_reshape(op, x, Shape(std::span<const int64_t>(dims)));
}

Status import_expand_dims(OpImport& op) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  FT_TRY(const ValueId x, op.input(0));
  FT_TRY(const int64_t where, op.single_int(1));
  std::vector<int64_t> dims = dims_of(op.shape(x));
  if (dims.size() >= Shape::kMaxRank)
    return op.error(fmt::format("x has {} dimensions already", dims.size()));
  FT_TRY(const int64_t axis,
         normal_axis(op, where, static_cast<int>(dims.size()) + 1));
  dims.insert(dims.begin() + axis, 1);
  return emit_reshape(op, x, Shape(std::span<const int64_t>(dims)));
}

Status import_shape(OpImport& op) {
  FT_TRY_STATUS(op.expect(1, 1, 1));
  op.finish_as_dimensions();
  return ok_status();
}

Status import_transpose(OpImport& op) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  FT_TRY(const ValueId x, op.input(0));
  FT_TRY(std::vector<int64_t> perm, op.ints(1, Shape::kMaxRank));
  for (int64_t& axis : perm) {
    FT_TRY(axis, normal_axis(op, axis, op.shape(x).rank()));
  }
  return op.emit(ops::kTranspose, {x}, {{"perm", perm}});
}

// Operand 1 holds [before, after] for each axis.
Status emit_pad(OpImport& op, double value, const char* mode) {
  FT_TRY(const ValueId x, op.input(0));
  FT_TRY(const std::vector<int64_t> pads, op.ints(1, 2 * Shape::kMaxRank));
  if (pads.size() != 2 * static_cast<size_t>(op.shape(x).rank()))
    return op.error(fmt::format("{} paddings for {} dimensions", pads.size(),
                                op.shape(x).rank()));
  std::vector<int64_t> before, after;
  for (size_t d = 0; d < pads.size(); d += 2) {
    before.push_back(pads[d]);
    after.push_back(pads[d + 1]);
  }
  return op.emit(ops::kPad, {x},
                 {{"before", before},
                  {"after", after},
                  {"value", value},
                  {"mode", std::string(mode)}});
}

Status import_pad(OpImport& op) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  return emit_pad(op, 0, "constant");
}

Status import_pad_v2(OpImport& op) {
  FT_TRY_STATUS(op.expect(3, 3, 1));
  FT_TRY(const ValueId value, op.input(2, As::kFloat));
  const std::span<const float> data = data_of<float>(op.graph().value(value));
  if (op.type(value).dtype != DType::kF32 || data.size() != 1)
    return op.error("the padding value must be one constant number");
  return emit_pad(op, data[0], "constant");
}

Status import_mirror_pad(OpImport& op) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  FT_TRY(const auto* options, op.options<tfl::MirrorPadOptions>());
  return emit_pad(
      op, 0,
      options->mode() == tfl::MirrorPadMode::REFLECT ? "reflect" : "symmetric");
}

// int8 inputs are brought to the output's quantizer first, as LiteRT does
// while it copies.
Result<std::vector<ValueId>> aligned_inputs(OpImport& op) {
  FT_TRY(const TensorType out, op.output_type());
  std::vector<ValueId> values;
  for (size_t i = 0; i < op.num_inputs(); ++i) {
    FT_TRY(ValueId x, op.input(i));
    if (op.type(x).dtype == DType::kS8 && op.type(x).quant != out.quant) {
      FT_TRY(x, op.inner(ops::kQuantize, {x}, {{"to", std::string("int8")}},
                         out.quant));
    }
    values.push_back(x);
  }
  return values;
}

Status import_concatenation(OpImport& op) {
  FT_TRY_STATUS(op.expect(1, 64, 1));
  FT_TRY(const auto* options, op.options<tfl::ConcatenationOptions>());
  if (options->fused_activation_function() != tfl::ActivationFunctionType::NONE)
    return op.error("fused activations are not supported");
  FT_TRY(const std::vector<ValueId> values, aligned_inputs(op));
  FT_TRY(const int64_t axis,
         normal_axis(op, options->axis(), op.shape(values[0]).rank()));
  if (values.size() == 1)
    return emit_reshape(op, values[0], op.shape(values[0]));
  return op.emit(ops::kConcat, values, {{"axis", axis}});
}

// Each input becomes one index of a new axis.
Status import_pack(OpImport& op) {
  FT_TRY_STATUS(op.expect(1, 64, 1));
  bool all_dimensions = false;
  for (size_t i = 0; i < op.num_inputs(); ++i)
    all_dimensions = all_dimensions || op.is_dimensions(i);
  if (all_dimensions) {
    op.finish_as_dimensions();
    return ok_status();
  }
  FT_TRY(const auto* options, op.options<tfl::PackOptions>());
  FT_TRY(std::vector<ValueId> values, aligned_inputs(op));
  std::vector<int64_t> dims = dims_of(op.shape(values[0]));
  if (dims.size() >= Shape::kMaxRank)
    return op.error(fmt::format("x has {} dimensions already", dims.size()));
  FT_TRY(const int64_t axis,
         normal_axis(op, options->axis(), static_cast<int>(dims.size()) + 1));
  dims.insert(dims.begin() + axis, 1);
  if (values.size() == 1)
    return emit_reshape(op, values[0], Shape(std::span<const int64_t>(dims)));
  for (ValueId& x : values) {
    FT_TRY(x, op.inner(ops::kReshape, {x}, {{"shape", dims}}));
  }
  return op.emit(ops::kConcat, values, {{"axis", axis}});
}

Status emit_resize(OpImport& op, const char* kind, bool align, bool half) {
  FT_TRY(const ValueId x, op.input(0));
  FT_TRY(const std::vector<int64_t> size, op.ints(1, 2));
  if (size.size() != 2)
    return op.error(fmt::format("the size has {} numbers", size.size()));
  return op.emit(ops::kResize, {x},
                 {{"kind", std::string(kind)},
                  {"out_h", size[0]},
                  {"out_w", size[1]},
                  {"align_corners", int64_t{align}},
                  {"half_pixel_centers", int64_t{half}}});
}

Status import_resize_bilinear(OpImport& op) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  FT_TRY(const auto* options, op.options<tfl::ResizeBilinearOptions>());
  return emit_resize(op, "bilinear", options->align_corners(),
                     options->half_pixel_centers());
}

Status import_resize_nearest(OpImport& op) {
  FT_TRY_STATUS(op.expect(2, 2, 1));
  FT_TRY(const auto* options, op.options<tfl::ResizeNearestNeighborOptions>());
  return emit_resize(op, "nearest", options->align_corners(),
                     options->half_pixel_centers());
}

constexpr OperatorImporter kImporters[] = {
    {tfl::BuiltinOperator::RESHAPE, import_reshape},
    {tfl::BuiltinOperator::SQUEEZE, import_squeeze},
    {tfl::BuiltinOperator::EXPAND_DIMS, import_expand_dims},
    {tfl::BuiltinOperator::SHAPE, import_shape},
    {tfl::BuiltinOperator::TRANSPOSE, import_transpose},
    {tfl::BuiltinOperator::PAD, import_pad},
    {tfl::BuiltinOperator::PADV2, import_pad_v2},
    {tfl::BuiltinOperator::MIRROR_PAD, import_mirror_pad},
    {tfl::BuiltinOperator::CONCATENATION, import_concatenation},
    {tfl::BuiltinOperator::PACK, import_pack},
    {tfl::BuiltinOperator::RESIZE_BILINEAR, import_resize_bilinear},
    {tfl::BuiltinOperator::RESIZE_NEAREST_NEIGHBOR, import_resize_nearest},
};

}  // namespace

std::span<const OperatorImporter> movement_importers() { return kImporters; }

}  // namespace ft
