#include "formats/tflite/test_model.h"

#include <cstring>

namespace ft::testing {
namespace {

size_t count(const std::vector<int32_t>& shape) {
  size_t n = 1;
  for (const int32_t d : shape) n *= static_cast<size_t>(d);
  return n;
}

template <class T>
std::vector<uint8_t> bytes_of(const std::vector<T>& values) {
  const auto* data = reinterpret_cast<const uint8_t*>(values.data());
  return {data, data + values.size() * sizeof(T)};
}

}  // namespace

TestModel::TestModel() : model_(std::make_unique<tfl::ModelT>()) {
  model_->version = 3;
  model_->description = "made by a test";
  model_->subgraphs.push_back(std::make_unique<tfl::SubGraphT>());
  model_->buffers.push_back(std::make_unique<tfl::BufferT>());
}

int TestModel::add(const std::string& name, tfl::TensorType type,
                   std::vector<int32_t> shape, QuantParams quant,
                   std::vector<uint8_t> data) {
  auto tensor = std::make_unique<tfl::TensorT>();
  tensor->name = name;
  tensor->type = type;
  tensor->shape = std::move(shape);
  if (!quant.empty()) {
    tensor->quantization = std::make_unique<tfl::QuantizationParametersT>();
    tensor->quantization->scale = quant.scale;
    tensor->quantization->zero_point.assign(quant.zero_point.begin(),
                                            quant.zero_point.end());
    tensor->quantization->quantized_dimension = quant.quantized_dimension;
  }
  if (!data.empty()) {
    tensor->buffer = static_cast<uint32_t>(model_->buffers.size());
    model_->buffers.push_back(std::make_unique<tfl::BufferT>());
    model_->buffers.back()->data = std::move(data);
  }
  graph().tensors.push_back(std::move(tensor));
  return static_cast<int>(graph().tensors.size()) - 1;
}

int TestModel::add_ints(const std::string& name,
                        const std::vector<int32_t>& values, bool is_scalar) {
  std::vector<int32_t> shape = {static_cast<int32_t>(values.size())};
  if (is_scalar) shape.clear();
  return add(name, tfl::TensorType::INT32, shape, {}, bytes_of(values));
}

int TestModel::add_f32_weights(const std::string& name,
                               std::vector<int32_t> shape) {
  std::vector<float> values(count(shape));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(i % 13) * 0.1f - 0.6f;
  return add(name, tfl::TensorType::FLOAT32, std::move(shape), {},
             bytes_of(values));
}

int TestModel::add_s8_weights(const std::string& name,
                              std::vector<int32_t> shape, QuantParams quant) {
  std::vector<int8_t> values(count(shape));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<int8_t>(static_cast<int>(i * 37 % 255) - 127);
  return add(name, tfl::TensorType::INT8, std::move(shape), std::move(quant),
             bytes_of(values));
}

int TestModel::add_s32_weights(const std::string& name,
                               std::vector<int32_t> shape, QuantParams quant) {
  std::vector<int32_t> values(count(shape));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<int32_t>(i) * 100 - 150;
  return add(name, tfl::TensorType::INT32, std::move(shape), std::move(quant),
             bytes_of(values));
}

tfl::OperatorT& TestModel::add_op(tfl::BuiltinOperator code,
                                  std::vector<int32_t> inputs,
                                  std::vector<int32_t> outputs) {
  auto entry = std::make_unique<tfl::OperatorCodeT>();
  entry->builtin_code = code;
  entry->deprecated_builtin_code =
      static_cast<int8_t>(std::min(127, static_cast<int>(code)));
  model_->operator_codes.push_back(std::move(entry));
  auto made = std::make_unique<tfl::OperatorT>();
  made->opcode_index = static_cast<uint32_t>(model_->operator_codes.size()) - 1;
  made->inputs = std::move(inputs);
  made->outputs = std::move(outputs);
  graph().operators.push_back(std::move(made));
  return *graph().operators.back();
}

std::vector<std::byte> TestModel::build(std::vector<int32_t> inputs,
                                        std::vector<int32_t> outputs) {
  graph().inputs = std::move(inputs);
  graph().outputs = std::move(outputs);
  flatbuffers::FlatBufferBuilder builder;
  tfl::FinishModelBuffer(builder, tfl::Model::Pack(builder, model_.get()));
  const auto* data =
      reinterpret_cast<const std::byte*>(builder.GetBufferPointer());
  return {data, data + builder.GetSize()};
}

std::vector<std::byte> small_int8_model() {
  using Op = tfl::BuiltinOperator;
  TestModel m;
  const QuantParams channels{{0.01f, 0.02f, 0.03f, 0.04f}, {0, 0, 0, 0}, 0};
  QuantParams last = channels;
  last.quantized_dimension = 3;
  const QuantParams bias{{0.001f, 0.002f, 0.003f, 0.004f}, {0, 0, 0, 0}, 0};
  const int x = m.add_s8("input_1", {1, 6, 5, 2}, 0.1f, 3);
  m.tensor(x).shape_signature = {-1, 6, 5, 2};
  const int w0 = m.add_s8_weights("net/conv2d/Conv2D", {4, 3, 3, 2}, channels);
  const int b0 = m.add_s32_weights("net/conv2d/bias", {4}, bias);
  const int y0 =
      m.add_s8("net/conv2d/Relu;net/conv2d/BiasAdd", {1, 3, 3, 4}, 0.1f, -128);
  const int w1 =
      m.add_s8_weights("net/norm;net/dw/depthwise", {1, 3, 3, 4}, last);
  const int b1 = m.add_s32_weights("net/dw/bias", {4}, bias);
  const int y1 = m.add_s8("net/dw/Relu", {1, 3, 3, 4}, 0.1f, -128);
  const int y2 = m.add_s8("net/pool/AvgPool", {1, 1, 1, 4}, 0.1f, -128);
  const int to = m.add_ints("net/flatten/Const", {-1, 4});
  const int y3 = m.add_s8("net/flatten/Reshape", {1, 4}, 0.1f, -128);
  const int w4 = m.add_s8_weights("net/dense/MatMul", {3, 4},
                                  QuantParams::per_tensor(0.02f, 0));
  const int b4 = m.add_s32_weights("net/dense/bias", {3},
                                   QuantParams::per_tensor(0.002f, 0));
  const int y4 =
      m.add_s8("net/dense/MatMul;net/dense/BiasAdd", {1, 3}, 0.2f, 5);
  const int y5 = m.add_s8("Identity", {1, 3}, 1.0f / 256, -128);

  tfl::Conv2DOptionsT conv;
  conv.stride_h = conv.stride_w = 2;
  conv.fused_activation_function = tfl::ActivationFunctionType::RELU;
  m.op(Op::CONV_2D, {x, w0, b0}, {y0}, conv);
  tfl::DepthwiseConv2DOptionsT depthwise;
  depthwise.stride_h = depthwise.stride_w = depthwise.depth_multiplier = 1;
  depthwise.fused_activation_function = tfl::ActivationFunctionType::RELU;
  m.op(Op::DEPTHWISE_CONV_2D, {y0, w1, b1}, {y1}, depthwise);
  tfl::Pool2DOptionsT pool;
  pool.padding = tfl::Padding::VALID;
  pool.stride_h = pool.stride_w = pool.filter_height = pool.filter_width = 3;
  m.op(Op::AVERAGE_POOL_2D, {y1}, {y2}, pool);
  m.op(Op::RESHAPE, {y2, to}, {y3}, tfl::ReshapeOptionsT{});
  m.op(Op::FULLY_CONNECTED, {y3, w4, b4}, {y4}, tfl::FullyConnectedOptionsT{});
  tfl::SoftmaxOptionsT softmax;
  softmax.beta = 1;
  m.op(Op::SOFTMAX, {y4}, {y5}, softmax);

  auto signature = std::make_unique<tfl::SignatureDefT>();
  signature->signature_key = "serving_default";
  signature->inputs.push_back(std::make_unique<tfl::TensorMapT>());
  signature->inputs[0]->name = "x";
  signature->inputs[0]->tensor_index = static_cast<uint32_t>(x);
  m.model().signature_defs.push_back(std::move(signature));
  m.model().buffers.push_back(std::make_unique<tfl::BufferT>());
  m.model().buffers.back()->data = {'1', '.', '5', 0};
  m.model().metadata.push_back(std::make_unique<tfl::MetadataT>());
  m.model().metadata[0]->name = "min_runtime_version";
  m.model().metadata[0]->buffer =
      static_cast<uint32_t>(m.model().buffers.size() - 1);
  return m.build({x}, {y5});
}

std::vector<std::byte> small_lstm_model(bool time_major) {
  TestModel m;
  const auto sequence = [&](const std::string& name, int32_t columns) {
    return time_major ? m.add_f32(name, {3, 1, columns})
                      : m.add_f32(name, {1, 3, columns});
  };
  const int x = sequence("x", 2);
  std::vector<int32_t> operands(24, -1);
  operands[0] = x;
  for (size_t gate = 0; gate < 4; ++gate) {
    const auto quant =
        QuantParams::per_tensor(0.01f * static_cast<float>(gate + 1), 0);
    operands[1 + gate] = m.add_s8_weights("net/lstm/w", {4, 2}, quant);
    operands[5 + gate] = m.add_s8_weights("net/lstm/r", {4, 4}, quant);
    operands[12 + gate] = m.add_f32_weights("net/lstm/b", {4});
  }
  for (const size_t state : {18, 19}) {
    operands[state] = m.add_f32("net/lstm/state", {1, 4});
    m.tensor(operands[state]).is_variable = true;
  }
  const int y = sequence("net/lstm/y", 4);
  tfl::UnidirectionalSequenceLSTMOptionsT options;
  options.fused_activation_function = tfl::ActivationFunctionType::TANH;
  options.time_major = time_major;
  m.op(tfl::BuiltinOperator::UNIDIRECTIONAL_SEQUENCE_LSTM, operands, {y},
       options);
  return m.build({x}, {y});
}

}  // namespace ft::testing
