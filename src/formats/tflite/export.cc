#include "formats/tflite/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>

#include "formats/tflite/import.h"
#include "formats/tflite/model_file.h"

namespace ft {
namespace {

using TensorPtr = std::unique_ptr<tfl::TensorT>;

// How many tensors and metadata entries name a buffer.
int uses_of(const tfl::ModelT& model, uint32_t buffer) {
  int uses = 0;
  for (const TensorPtr& tensor : model.subgraphs[0]->tensors)
    uses += tensor->buffer == buffer;
  for (const auto& entry : model.metadata) uses += entry->buffer == buffer;
  for (const int32_t index : model.metadata_buffer)
    uses += static_cast<uint32_t>(index) == buffer;
  return uses;
}

// Where the file leaves the batch open (-1), it stays open.
void set_shape(tfl::TensorT& tensor, const Shape& shape) {
  std::vector<int32_t> dims;
  for (const int64_t d : shape.dims()) dims.push_back(static_cast<int32_t>(d));
  std::vector<int32_t>& signature = tensor.shape_signature;
  if (signature.size() == dims.size()) {
    for (size_t d = 0; d < dims.size(); ++d)
      if (signature[d] != -1) signature[d] = dims[d];
  } else {
    signature.clear();
  }
  tensor.shape = std::move(dims);
}

// min and max described the old values.
void set_quant(tfl::TensorT& tensor, const QuantParams& quant) {
  auto fresh = std::make_unique<tfl::QuantizationParametersT>();
  fresh->scale = quant.scale;
  fresh->zero_point.assign(quant.zero_point.begin(), quant.zero_point.end());
  fresh->quantized_dimension = quant.quantized_dimension;
  tensor.quantization = std::move(fresh);
}

void set_data(tfl::ModelT& model, tfl::TensorT& tensor,
              std::span<const std::byte> bytes) {
  if (tensor.buffer == 0 || uses_of(model, tensor.buffer) > 1) {
    tensor.buffer = static_cast<uint32_t>(model.buffers.size());
    model.buffers.push_back(std::make_unique<tfl::BufferT>());
  }
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  model.buffers[tensor.buffer]->data.assign(data, data + bytes.size());
}

tfl::TensorType file_type(DType dtype) {
  if (dtype == DType::kS8) return tfl::TensorType::INT8;
  return dtype == DType::kS32 ? tfl::TensorType::INT32
                              : tfl::TensorType::FLOAT32;
}

// Version of an operator's first int8 form, where it is not 1. Source:
// TensorFlow Lite, tools/versioning.
int int8_version(tfl::BuiltinOperator code) {
  using Op = tfl::BuiltinOperator;
  switch (code) {
    case Op::FULLY_CONNECTED: return 4;
    case Op::CONV_2D:
    case Op::DEPTHWISE_CONV_2D: return 3;
    case Op::ADD:
    case Op::AVERAGE_POOL_2D:
    case Op::CONCATENATION:
    case Op::GATHER:
    case Op::LEAKY_RELU:
    case Op::LOGISTIC:
    case Op::LOG_SOFTMAX:
    case Op::MAXIMUM:
    case Op::MAX_POOL_2D:
    case Op::MEAN:
    case Op::MINIMUM:
    case Op::MUL:
    case Op::PAD:
    case Op::PADV2:
    case Op::RELU:
    case Op::RELU6:
    case Op::RESIZE_BILINEAR:
    case Op::RESIZE_NEAREST_NEIGHBOR:
    case Op::SLICE:
    case Op::SOFTMAX:
    case Op::SPLIT:
    case Op::STRIDED_SLICE:
    case Op::SUB:
    case Op::SUM:
    case Op::TANH:
    case Op::TRANSPOSE:
    case Op::TRANSPOSE_CONV: return 2;
    default: return 1;
  }
}

Status check_edit(const TensorEdit& edit, size_t tensors) {
  const auto error = [&](const std::string& sentence) {
    return usage_error(
        fmt::format("edit of tensor {}: {}", edit.tensor_index, sentence));
  };
  if (edit.tensor_index < 0 ||
      static_cast<size_t>(edit.tensor_index) >= tensors)
    return error(fmt::format("there are {} tensors", tensors));
  if (edit.quant && edit.quant->scale.size() != edit.quant->zero_point.size())
    return error(fmt::format("{} scales and {} zero points",
                             edit.quant->scale.size(),
                             edit.quant->zero_point.size()));
  if (edit.data && edit.data->empty()) return error("the data is empty");
  if (edit.dtype && *edit.dtype != DType::kF32 &&
      !((*edit.dtype == DType::kS8 || *edit.dtype == DType::kS32) &&
        edit.quant))
    return error(fmt::format("it cannot become {}", name_of(*edit.dtype)));
  for (int d = 0; edit.shape && d < edit.shape->rank(); ++d)
    if ((*edit.shape)[d] < 1 ||
        (*edit.shape)[d] > std::numeric_limits<int32_t>::max())
      return error(
          fmt::format("the shape {} is impossible", edit.shape->to_string()));
  return ok_status();
}

Status apply(tfl::ModelT& model, const TensorEdit& edit) {
  auto& tensors = model.subgraphs[0]->tensors;
  FT_TRY_STATUS(check_edit(edit, tensors.size()));
  tfl::TensorT& tensor = *tensors[static_cast<size_t>(edit.tensor_index)];
  if (edit.shape) set_shape(tensor, *edit.shape);
  if (edit.dtype) {
    tensor.type = file_type(*edit.dtype);
    tensor.quantization.reset();
  }
  if (edit.quant) set_quant(tensor, *edit.quant);
  if (edit.data) set_data(model, tensor, *edit.data);
  return ok_status();
}

}  // namespace

Result<std::vector<std::byte>> rewrite_tflite(
    std::span<const std::byte> original, const TfliteEdits& edits) {
  // Importing proves that the object API may unpack the file: no aliased
  // buffers, no operators whose settings it does not know.
  FT_TRY(const TfliteModel before, import_tflite(original));
  const auto model =
      std::unique_ptr<tfl::ModelT>(tfl::UnPackModel(original.data()));
  for (const TensorEdit& edit : edits.tensors)
    FT_TRY_STATUS(apply(*model, edit));
  if (edits.int8_versions)
    for (const auto& code : model->operator_codes)
      code->version =
          std::max(code->version,
                   int8_version(std::max(code->builtin_code,
                                         static_cast<tfl::BuiltinOperator>(
                                             code->deprecated_builtin_code))));
  flatbuffers::FlatBufferBuilder builder(original.size() + 1024);
  tfl::FinishModelBuffer(builder, tfl::Model::Pack(builder, model.get()));
  const auto* data =
      reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  std::vector<std::byte> file(data, data + builder.GetSize());
  if (const auto after = import_tflite(file); !after.ok())
    return Status(after.status()).in("the rewritten model");
  return file;
}

}  // namespace ft
