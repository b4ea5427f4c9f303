// OpImport: what the translation of one operator sees of the file.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "formats/tflite/importer.h"
#include "kernels/kernel.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

constexpr int64_t kMaxElements = std::numeric_limits<int32_t>::max();

// Operators that only move values keep the quantizer of their input; the file
// repeats it, sometimes rounded.
bool about_equal(const QuantParams& a, const QuantParams& b) {
  if (a.is_per_channel() || b.is_per_channel()) return a == b;
  return a.zero_point == b.zero_point &&
         std::fabs(a.scale[0] - b.scale[0]) <= 1e-5f * b.scale[0];
}

}  // namespace

OpImport::OpImport(Importer& importer, int index)
    : importer_(importer),
      index_(index),
      kind_(tfl::EnumNameBuiltinOperator(importer.file().code(index))),
      inputs_(importer.file().inputs_of(index)),
      outputs_(importer.file().outputs_of(index)) {
  for (const int32_t tensor : inputs_) {
    const int axis = tensor < 0 ? kNone : importer.batch_axis(tensor);
    if (axis == kNone) continue;
    if (batch_axis_ == kNone) batch_axis_ = axis;
    batch_axes_differ_ = batch_axes_differ_ || axis != batch_axis_;
  }
}

Status OpImport::error(const std::string& sentence) const {
  return invalid_input(sentence);
}

bool OpImport::is_constant(size_t i) const {
  return has_input(i) && importer_.bound(inputs_[i]) == kNone &&
         importer_.file().is_constant(inputs_[i]);
}

bool OpImport::is_dimensions(size_t i) const {
  return has_input(i) && importer_.is_dimensions(inputs_[i]);
}

bool OpImport::is_variable(size_t i) const {
  return has_input(i) && importer_.file().tensor(inputs_[i]).is_variable();
}

Result<int64_t> OpImport::dynamic_range_scales(size_t i) const {
  if (!importer_.options().dynamic_range || !is_constant(i)) return 0;
  FT_TRY(const TensorType type, importer_.file().type_of(inputs_[i]));
  if (type.dtype != DType::kS8) return 0;
  return static_cast<int64_t>(type.quant.scale.size());
}

Status OpImport::expect(size_t min_inputs, size_t max_inputs,
                        size_t outputs) const {
  if (inputs_.size() < min_inputs || inputs_.size() > max_inputs ||
      outputs_.size() != outputs)
    return error(fmt::format("has {} inputs and {} outputs", inputs_.size(),
                             outputs_.size()));
  for (size_t i = 0; i < min_inputs; ++i)
    if (!has_input(i)) return error(fmt::format("input {} is missing", i));
  for (const int32_t tensor : outputs_)
    if (importer_.bound(tensor) != kNone ||
        importer_.file().is_constant(tensor))
      return error(fmt::format("writes {}, which has a value already",
                               importer_.file().describe(tensor)));
  return ok_status();
}

Result<ValueId> OpImport::input(size_t i, As as) {
  if (!has_input(i)) return error(fmt::format("input {} is missing", i));
  return importer_.value_of(inputs_[i], as);
}

Result<ValueId> OpImport::optional_input(size_t i, As as) {
  if (!has_input(i)) return kNone;
  return importer_.value_of(inputs_[i], as);
}

Result<std::vector<int64_t>> OpImport::ints(size_t i, size_t limit) {
  if (!is_constant(i))
    return error(fmt::format("input {} must be a constant", i));
  FT_TRY(const TensorType type, importer_.file().type_of(inputs_[i]));
  if (type.dtype != DType::kS32 && type.dtype != DType::kS64)
    return error(fmt::format("input {} is {}, expected int32 or int64", i,
                             name_of(type.dtype)));
  const auto n = static_cast<size_t>(type.shape.num_elements());
  if (n > limit)
    return error(
        fmt::format("input {} has {} numbers, at most {} fit", i, n, limit));
  const std::byte* data = importer_.file().data(inputs_[i]).data();
  std::vector<int64_t> values(n);
  for (size_t k = 0; k < n; ++k) {
    int32_t narrow;
    if (type.dtype == DType::kS64) {
      std::memcpy(&values[k], data + k * sizeof(int64_t), sizeof(int64_t));
    } else {
      std::memcpy(&narrow, data + k * sizeof narrow, sizeof narrow);
      values[k] = narrow;
    }
    if (values[k] != static_cast<int32_t>(values[k]))
      return error(fmt::format("input {} holds {}", i, values[k]));
  }
  return values;
}

Result<int64_t> OpImport::single_int(size_t i) {
  FT_TRY(const std::vector<int64_t> values, ints(i, 1));
  return values[0];
}

Result<Shape> OpImport::output_shape(size_t i) const {
  return importer_.expected_shape(outputs_[i], batch_axis_);
}

Result<TensorType> OpImport::output_type(size_t i) const {
  return importer_.file().type_of(outputs_[i]);
}

// Where output i of this shape carries the batch: in the axis of the operands,
// or in one that an operator such as a transpose moved it to. There it must be
// the batch alone: rows of [time, batch] are no batch of rows.
Result<int> OpImport::find_batch_axis(size_t i, const Shape& shape) const {
  FT_TRY(const TensorType file_type, output_type(i));
  const Shape& in_file = file_type.shape;
  if (!changes_batch() && shape == in_file) return batch_axis_;
  if (batch_axes_differ_)
    return error(
        "its operands carry the batch in different axes, so the batch cannot "
        "be changed");
  for (int axis = 0; changes_batch() && axis < in_file.rank(); ++axis) {
    const bool alone = in_file[axis] == importer_.old_batch();
    if (!alone && (axis != 0 || batch_axis_ != 0)) continue;
    const auto want = importer_.expected_shape(outputs_[i], axis);
    if (want.ok() && *want == shape) return axis;
  }
  FT_TRY(const Shape want, output_shape(i));
  return error(fmt::format("computes {} of shape {}, the file says {}",
                           importer_.file().describe(outputs_[i]),
                           shape.to_string(), want.to_string()));
}

Status OpImport::finish(size_t i, ValueId value) {
  FT_TRY(const TensorType file_type, output_type(i));
  TensorType& type = importer_.graph().value(value).type;
  const std::string name = importer_.file().describe(outputs_[i]);
  FT_TRY(const int batch_axis, find_batch_axis(i, type.shape));
  if (type.shape.num_elements() > kMaxElements)
    return error(fmt::format("{} has more than 2^31 - 1 elements", name));
  if (!dequantize()) {
    if (type.dtype != file_type.dtype)
      return error(fmt::format("computes {} as {}, the file says {}", name,
                               name_of(type.dtype), name_of(file_type.dtype)));
    if (type.dtype == DType::kS8) {
      if (!about_equal(type.quant, file_type.quant))
        return error(
            fmt::format("{} must have its input's scale and zero "
                        "point",
                        name));
      type.quant = file_type.quant;
    }
  }
  importer_.bind(outputs_[i], value, batch_axis);
  return ok_status();
}

void OpImport::finish_as_dimensions(size_t i) {
  importer_.bind_as_dimensions(outputs_[i]);
}

Status OpImport::emit(const OpDef& op, std::vector<ValueId> inputs,
                      Attrs attrs) {
  AppendOptions options{.name = name(), .out_quant = {}, .output_names = {}};
  for (size_t i = 0; i < outputs_.size(); ++i) {
    FT_TRY(TensorType type, output_type(i));
    options.out_quant.push_back(dequantize() ? QuantParams{}
                                             : std::move(type.quant));
    options.output_names.push_back(
        printable(importer_.file().tensor_name(outputs_[i]), 200));
  }
  FT_TRY(const std::vector<ValueId> results,
         append_node(importer_.graph(), op, std::move(inputs), std::move(attrs),
                     std::move(options)));
  if (results.size() != outputs_.size())
    return error(fmt::format("has {} outputs, computes {}", outputs_.size(),
                             results.size()));
  for (size_t i = 0; i < results.size(); ++i)
    FT_TRY_STATUS(finish(i, results[i]));
  return ok_status();
}

const std::string& OpImport::name() {
  if (name_.empty()) name_ = importer_.names().make(index_);
  return name_;
}

Result<std::vector<ValueId>> OpImport::append_inner(
    std::string name, const OpDef& op, std::vector<ValueId> inputs, Attrs attrs,
    std::vector<QuantParams> quants) {
  AppendOptions options{.name = std::move(name),
                        .out_quant = std::move(quants),
                        .output_names = {}};
  FT_TRY(const std::vector<ValueId> results,
         append_node(importer_.graph(), op, std::move(inputs), std::move(attrs),
                     std::move(options)));
  for (const ValueId id : results)
    if (shape(id).num_elements() > kMaxElements)
      return error("an intermediate result has more than 2^31 - 1 elements");
  return results;
}

Result<std::vector<ValueId>> OpImport::inner_all(
    const OpDef& op, std::vector<ValueId> inputs, Attrs attrs,
    std::vector<QuantParams> quants) {
  return append_inner(fmt::format("{}/{}_{}", name(), op.name, num_inner_++),
                      op, std::move(inputs), std::move(attrs),
                      std::move(quants));
}

Result<std::vector<ValueId>> OpImport::module(std::string_view suffix,
                                              const OpDef& op,
                                              std::vector<ValueId> inputs,
                                              Attrs attrs) {
  return append_inner(fmt::format("{}/{}", name(), suffix), op,
                      std::move(inputs), std::move(attrs), {});
}

Result<ValueId> OpImport::joined(const std::vector<size_t>& operands,
                                 std::string_view suffix) {
  std::vector<int> tensors;
  for (const size_t i : operands) {
    if (!is_constant(i))
      return error(fmt::format("input {} must be a constant", i));
    tensors.push_back(inputs_[i]);
  }
  return importer_.joined(tensors, fmt::format("{}/{}", name(), suffix));
}

Result<ValueId> OpImport::inner(const OpDef& op, std::vector<ValueId> inputs,
                                Attrs attrs, QuantParams quant) {
  FT_TRY(
      const std::vector<ValueId> results,
      inner_all(op, std::move(inputs), std::move(attrs), {std::move(quant)}));
  return results[0];
}

Result<int64_t> act_of(const OpImport& op, tfl::ActivationFunctionType act) {
  switch (act) {
    case tfl::ActivationFunctionType::NONE: return int64_t{FT_ACT_NONE};
    case tfl::ActivationFunctionType::RELU: return int64_t{FT_ACT_RELU};
    case tfl::ActivationFunctionType::RELU6: return int64_t{FT_ACT_RELU6};
    case tfl::ActivationFunctionType::RELU_N1_TO_1:
      return int64_t{FT_ACT_RELU_N1};
    default: break;
  }
  return op.error(fmt::format("the fused activation {} is not supported",
                              static_cast<int>(act)));
}

Result<int64_t> normal_axis(const OpImport& op, int64_t axis, int rank) {
  const int64_t normal = axis < 0 ? axis + rank : axis;
  if (normal < 0 || normal >= rank)
    return op.error(
        fmt::format("axis {} does not exist in {} dimensions", axis, rank));
  return normal;
}

}  // namespace ft
