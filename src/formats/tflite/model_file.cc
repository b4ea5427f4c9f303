#include "formats/tflite/model_file.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <optional>

namespace ft {
namespace {

constexpr size_t kMaxElements = (size_t{1} << 31) - 1;
constexpr size_t kMaxOperands = 128;

std::optional<DType> dtype_of(tfl::TensorType type) {
  switch (type) {
    case tfl::TensorType::FLOAT32: return DType::kF32;
    case tfl::TensorType::FLOAT16: return DType::kF16;
    case tfl::TensorType::INT32: return DType::kS32;
    case tfl::TensorType::INT64: return DType::kS64;
    case tfl::TensorType::UINT8: return DType::kU8;
    case tfl::TensorType::INT4:
    case tfl::TensorType::INT8: return DType::kS8;
    default: return std::nullopt;
  }
}

std::string dtype_text(tfl::TensorType type) {
  const char* name = tfl::EnumNameTensorType(type);
  return *name != 0 ? name : fmt::format("code {}", static_cast<int>(type));
}

// Bytes that the file must hold for a constant of this shape.
size_t stored_bytes(const tfl::Tensor& tensor, const TensorType& type) {
  const auto n = static_cast<size_t>(type.shape.num_elements());
  if (tensor.type() == tfl::TensorType::INT4) return (n + 1) / 2;
  return n * size_of(type.dtype);
}

tfl::BuiltinOperator code_of(const tfl::OperatorCode& entry) {
  return std::max(
      static_cast<tfl::BuiltinOperator>(entry.deprecated_builtin_code()),
      entry.builtin_code());
}

}  // namespace

std::string printable(std::string_view text, size_t limit) {
  std::string out(text.substr(0, limit));
  for (char& c : out)
    if (c < 0x20 || c > 0x7e) c = '_';
  return out;
}

Status ModelFile::verify(std::span<const std::byte> bytes) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  if (bytes.size() < 16)
    return invalid_input(
        fmt::format("{} bytes are too few for a .tflite file", bytes.size()));
  if (bytes.size() >= FLATBUFFERS_MAX_BUFFER_SIZE)
    return invalid_input(
        fmt::format("{} bytes are too many: a .tflite file must stay below 2 "
                    "GB",
                    bytes.size()));
  if (!tfl::ModelBufferHasIdentifier(data))
    return invalid_input("no .tflite file: the identifier TFL3 is missing");
  flatbuffers::Verifier::Options limits;
  limits.max_depth = 16;
  limits.max_tables = static_cast<uint32_t>(64 + bytes.size() / 8);
  flatbuffers::Verifier verifier(data, bytes.size(), limits);
  if (!tfl::VerifyModelBuffer(verifier))
    return invalid_input("the FlatBuffer is damaged or truncated");
  return ok_status();
}

Result<ModelFile> ModelFile::open(std::span<const std::byte> bytes) {
  FT_TRY_STATUS(verify(bytes));
  const ModelFile file(bytes, tfl::GetModel(bytes.data()));
  const tfl::Model& model = file.model();
  if (model.version() != 3)
    return invalid_input(fmt::format(
        "schema version {} is not supported, only 3 is", model.version()));
  for (int i = 0; i < size_of(model.operator_codes()); ++i)
    if (code_of(*at(model.operator_codes(), i)) == tfl::BuiltinOperator::WHILE)
      return invalid_input(
          "the model has a loop (operator WHILE), which is not supported; "
          "convert it with the recurrent layer unrolled (Keras: unroll=True)");
  if (size_of(model.subgraphs()) != 1)
    return invalid_input(
        fmt::format("the file has {} subgraphs, exactly one is supported",
                    size_of(model.subgraphs())));
  if (file.num_operators() == 0)
    return invalid_input("the model has no operators");
  FT_TRY_STATUS(file.check_buffers());
  FT_TRY_STATUS(file.check_indices(file.inputs(), false, "model input"));
  FT_TRY_STATUS(file.check_indices(file.outputs(), false, "model output"));
  if (file.inputs().empty() || file.outputs().empty())
    return invalid_input(fmt::format("the model has {} inputs and {} outputs",
                                     file.inputs().size(),
                                     file.outputs().size()));
  FT_TRY_STATUS(file.check_operators());
  FT_TRY_STATUS(file.check_constants());
  return file;
}

// Buffers must not overlap by more than the file can hold: rewriting unpacks
// each of them, and a FlatBuffer can point at the same bytes any number of
// times.
Status ModelFile::check_buffers() const {
  size_t total = 0;
  for (int i = 0; i < size_of(model_->buffers()); ++i) {
    const tfl::Buffer& buffer = *at(model_->buffers(), i);
    if (buffer.offset() != 0 || buffer.size() != 0)
      return invalid_input(
          fmt::format("buffer {} lies outside of the FlatBuffer", i));
    if (buffer.data() != nullptr) total += buffer.data()->size();
  }
  for (int i = 0; i < num_tensors(); ++i) {
    const tfl::Tensor& t = tensor(i);
    total += tensor_name(i).size();
    if (t.shape() != nullptr) total += 4 * t.shape()->size();
    // Scales are read one by one, so aliased ones would cost time.
    if (t.quantization() != nullptr && t.quantization()->scale() != nullptr)
      total += 4 * t.quantization()->scale()->size();
    if (t.buffer() >= static_cast<uint32_t>(size_of(model_->buffers())))
      return invalid_input(fmt::format("{} names buffer {}, there are {}",
                                       describe(i), t.buffer(),
                                       size_of(model_->buffers())));
    if (total > 2 * bytes_.size()) break;
  }
  if (total > 2 * bytes_.size())
    return invalid_input("the file's buffers or tensors overlap");
  return ok_status();
}

Status ModelFile::check_indices(std::span<const int32_t> indices, bool optional,
                                std::string_view what) const {
  if (indices.size() > kMaxOperands)
    return invalid_input(fmt::format("{} {}s, at most {} are supported",
                                     indices.size(), what, kMaxOperands));
  for (const int32_t i : indices)
    if (i < (optional ? -1 : 0) || i >= num_tensors())
      return invalid_input(
          fmt::format("{} is tensor {}, there are {}", what, i, num_tensors()));
  return ok_status();
}

Status ModelFile::check_operators() const {
  const int codes = size_of(model_->operator_codes());
  for (int i = 0; i < num_operators(); ++i) {
    if (op(i).opcode_index() >= static_cast<uint32_t>(codes))
      return invalid_input(
          fmt::format("operator {}: operator code {} of {} does not exist", i,
                      op(i).opcode_index(), codes));
    const std::string where = fmt::format("operator {}", i);
    FT_TRY_STATUS(check_indices(inputs_of(i), true, "input").in(where));
    FT_TRY_STATUS(check_indices(outputs_of(i), false, "output").in(where));
  }
  return ok_status();
}

// Constants of a dtype that no operator of ours reads (strings, ...) are left
// to the operator's own complaint.
Status ModelFile::check_constants() const {
  for (int i = 0; i < num_tensors(); ++i) {
    if (!is_constant(i) || !dtype_of(tensor(i).type())) continue;
    FT_TRY(const TensorType type, type_of(i));
    const size_t want = stored_bytes(tensor(i), type);
    if (data(i).size() != want)
      return invalid_input(fmt::format(
          "{} is {} and needs {} bytes, its buffer {} has {}", describe(i),
          type.to_string(), want, tensor(i).buffer(), data(i).size()));
  }
  return ok_status();
}

std::span<const int32_t> ModelFile::inputs_of(int op_index) const {
  return ints(op(op_index).inputs());
}

std::span<const int32_t> ModelFile::outputs_of(int op_index) const {
  return ints(op(op_index).outputs());
}

tfl::BuiltinOperator ModelFile::code(int op_index) const {
  return code_of(*model_->operator_codes()->Get(op(op_index).opcode_index()));
}

std::string_view ModelFile::custom_code(int op_index) const {
  const auto& entry =
      *model_->operator_codes()->Get(op(op_index).opcode_index());
  if (entry.custom_code() == nullptr) return "";
  return entry.custom_code()->string_view();
}

std::string_view ModelFile::tensor_name(int i) const {
  if (tensor(i).name() == nullptr) return "";
  return tensor(i).name()->string_view();
}

std::string ModelFile::describe(int i) const {
  return fmt::format("'{}' (tensor {})", printable(tensor_name(i), 80), i);
}

std::span<const std::byte> ModelFile::data(int i) const {
  const auto* bytes =
      at(model_->buffers(), static_cast<int>(tensor(i).buffer()))->data();
  if (bytes == nullptr) return {};
  return std::as_bytes(std::span(bytes->data(), bytes->size()));
}

Result<Shape> ModelFile::shape_of(int i) const {
  const std::span<const int32_t> dims = ints(tensor(i).shape());
  if (dims.size() > Shape::kMaxRank)
    return invalid_input(
        fmt::format("{} has {} dimensions, at most {} are "
                    "supported",
                    describe(i), dims.size(), Shape::kMaxRank));
  int64_t wide[Shape::kMaxRank];
  size_t elements = 1;
  for (size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] <= 0)
      return invalid_input(
          fmt::format("{} has dimension {} in axis {}: only static shapes are "
                      "supported",
                      describe(i), dims[d], d));
    wide[d] = dims[d];
    elements *= static_cast<size_t>(dims[d]);
    if (elements > kMaxElements)
      return invalid_input(
          fmt::format("{} has more than 2^31 - 1 elements", describe(i)));
  }
  return Shape(std::span<const int64_t>(wide, dims.size()));
}

Result<QuantParams> ModelFile::quant_of(int i, const Shape& shape) const {
  const tfl::QuantizationParameters* q = tensor(i).quantization();
  if (q == nullptr || q->scale() == nullptr || q->scale()->size() == 0)
    return QuantParams{};
  if (q->details_type() == tfl::QuantizationDetails::BlockwiseQuantization)
    return invalid_input(fmt::format(
        "{} is quantized in blocks, which is not supported", describe(i)));
  const size_t n = q->scale()->size();
  const int axis = q->quantized_dimension();
  if (n > 1 && (axis < 0 || axis >= shape.rank() ||
                shape[axis] != static_cast<int64_t>(n)))
    return invalid_input(fmt::format("{} has {} scales along axis {} of {}",
                                     describe(i), n, axis, shape.to_string()));
  const auto* zero_points = q->zero_point();
  if (zero_points != nullptr && zero_points->size() != 0 &&
      zero_points->size() != n)
    return invalid_input(fmt::format("{} has {} scales and {} zero points",
                                     describe(i), n, zero_points->size()));
  QuantParams quant;
  quant.quantized_dimension = n > 1 ? axis : 0;
  quant.scale.assign(q->scale()->begin(), q->scale()->end());
  quant.zero_point.assign(n, 0);
  for (uint32_t c = 0; c < n; ++c) {
    if (!std::isfinite(quant.scale[c]) || quant.scale[c] <= 0)
      return invalid_input(fmt::format("{} has the scale {} at index {}",
                                       describe(i), quant.scale[c], c));
    if (zero_points == nullptr || zero_points->size() == 0) continue;
    const int64_t zero_point = zero_points->Get(c);
    if (zero_point < std::numeric_limits<int8_t>::min() ||
        zero_point > std::numeric_limits<uint8_t>::max() ||
        (n > 1 && zero_point != 0))
      return invalid_input(
          fmt::format("{} has the zero point {} at index {} of {}", describe(i),
                      zero_point, c, n));
    quant.zero_point[c] = static_cast<int32_t>(zero_point);
  }
  return quant;
}

Result<TensorType> ModelFile::type_of(int i) const {
  const tfl::Tensor& t = tensor(i);
  const std::optional<DType> dtype = dtype_of(t.type());
  if (!dtype)
    return invalid_input(fmt::format("{} is of type {}, which is not supported",
                                     describe(i), dtype_text(t.type())));
  if (t.sparsity() != nullptr)
    return invalid_input(
        fmt::format("{} is sparse, which is not supported", describe(i)));
  if (t.is_variable())
    return invalid_input(
        fmt::format("{} is a variable, which is not supported", describe(i)));
  FT_TRY(const Shape shape, shape_of(i));
  FT_TRY(QuantParams quant, quant_of(i, shape));
  const bool is_byte = *dtype == DType::kS8 || *dtype == DType::kU8;
  if (is_byte && quant.empty())
    return invalid_input(fmt::format("{} is {} but has no scale and zero point",
                                     describe(i), name_of(*dtype)));
  const int low = *dtype == DType::kS8 ? -128 : 0;
  if (is_byte && (quant.zero_point[0] < low || quant.zero_point[0] > low + 255))
    return invalid_input(fmt::format("{} is {} with the zero point {}",
                                     describe(i), name_of(*dtype),
                                     quant.zero_point[0]));
  if (quant.is_per_channel() && !is_constant(i))
    return invalid_input(
        fmt::format("{} is an activation quantized per channel", describe(i)));
  if (!is_byte && *dtype != DType::kS32) quant = {};
  return TensorType{.dtype = *dtype, .shape = shape, .quant = std::move(quant)};
}

}  // namespace ft
