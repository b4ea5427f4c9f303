#include "cli/calibration_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "kernels/kernel.h"
#include "methods/head.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft::cli {
namespace {

struct Layer {
  enum Kind { kConv, kDepthwise, kDense, kMaxPool, kAveragePool, kAdd } kind;
  int64_t channels = 0, size = 1, stride = 1;
};

struct Plan {
  const char* name;
  std::vector<int64_t> input;  // height, width, channels; or features
  std::vector<Layer> layers;
};

std::vector<Plan> plans() {
  using enum Layer::Kind;
  return {{"photo",
           {48, 48, 3},
           {{kConv, 16, 3, 2},
            {kDepthwise, 0, 3, 1},
            {kConv, 32, 1, 1},
            {kDepthwise, 0, 3, 2},
            {kConv, 64, 1, 1},
            {kAdd},
            {kConv, 48, 3, 1},
            {kDepthwise, 0, 3, 2},
            {kConv, 128, 1, 1},
            {kDepthwise, 0, 3, 1},
            {kConv, 192, 1, 1},
            {kMaxPool, 0, 2, 2},
            {kConv, 96, 3, 1}}},
          {"sound",
           {50, 12, 1},
           {{kConv, 40, 7, 2},
            {kDepthwise, 0, 3, 1},
            {kConv, 40, 1, 1},
            {kAdd},
            {kDepthwise, 0, 5, 1},
            {kConv, 80, 1, 1},
            {kAveragePool, 0, 2, 2},
            {kConv, 20, 1, 1}}},
          {"planes",
           {32, 32, 8},
           {{kConv, 16, 3, 1},
            {kConv, 24, 3, 1},
            {kAdd},
            {kConv, 32, 3, 2},
            {kConv, 64, 3, 1},
            {kConv, 12, 1, 1}}},
          {"vectors",
           {512},
           {{kDense, 160},
            {kDense, 48},
            {kDense, 8},
            {kDense, 64},
            {kDense, 256}}}};
}

class Builder {
 public:
  Builder(Graph& graph, bool int8) : graph_(graph), int8_(int8) {}

  Status build(const Plan& plan, int64_t batch) {
    std::vector<int64_t> dims{batch};
    dims.insert(dims.end(), plan.input.begin(), plan.input.end());
    last_ = graph_.add_input("x", activation(Shape(dims)));
    for (const Layer& layer : plan.layers) FT_TRY_STATUS(add(layer));
    if (shape().rank() == 4) FT_TRY_STATUS(flatten_by_mean());
    FT_TRY_STATUS(add({Layer::kDense, 10}));
    FT_TRY(last_, append(graph_, ops::kSoftmax, {last_}, {{"beta", 1.0}},
                         {.name = "softmax"}));
    graph_.outputs = {last_};
    return ok_status();
  }

 private:
  const Shape& shape() const { return graph_.value(last_).type.shape; }

  TensorType activation(const Shape& shape) const {
    if (!int8_) return {.dtype = DType::kF32, .shape = shape, .quant = {}};
    return {.dtype = DType::kS8, .shape = shape, .quant = quant()};
  }
  static QuantParams quant() { return QuantParams::per_tensor(0.03f, -10); }
  std::vector<QuantParams> out_quant() const {
    return int8_ ? std::vector{quant()} : std::vector<QuantParams>{};
  }

  // [..., channels along `axis`]; int8 with a scale for each channel.
  ValueId weight(const std::string& name, const Shape& shape, int axis) {
    const auto count = static_cast<size_t>(shape.num_elements());
    const int64_t inner = shape.num_elements() / shape[axis];
    const double bound = 1.7 / std::sqrt(static_cast<double>(inner));
    if (!int8_)
      return graph_.add_owned(
          ValueKind::kConstant, name,
          {.dtype = DType::kF32, .shape = shape, .quant = {}},
          uniform_values(count, bound, 1, name));
    QuantParams per_channel{
        .scale = std::vector<float>(static_cast<size_t>(shape[axis]),
                                    static_cast<float>(bound / 127)),
        .zero_point = std::vector<int32_t>(static_cast<size_t>(shape[axis]), 0),
        .quantized_dimension = axis};
    std::vector<int8_t> values(count);
    const Random random(1, name);
    for (size_t i = 0; i < count; ++i)
      values[i] = static_cast<int8_t>(random.bits(i) % 255 - 127);
    return graph_.add_owned(
        ValueKind::kConstant, name,
        {.dtype = DType::kS8, .shape = shape, .quant = per_channel}, values);
  }

  ValueId bias(const std::string& name, int64_t channels) {
    const auto count = static_cast<size_t>(channels);
    const DType dtype = int8_ ? DType::kS32 : DType::kF32;
    const TensorType type{.dtype = dtype, .shape = {channels}, .quant = {}};
    if (int8_)
      return graph_.add_owned(ValueKind::kConstant, name, type,
                              std::vector<int32_t>(count, 3));
    return graph_.add_owned(ValueKind::kConstant, name, type,
                            uniform_values(count, 0.1, 1, name));
  }

  // 'Same' padding of TensorFlow.
  Attrs window(const Layer& layer) const {
    Attrs attrs{{"stride_h", layer.stride},
                {"stride_w", layer.stride},
                {"act", FT_ACT_RELU}};
    const char* names[2][2] = {{"pad_top", "pad_bottom"},
                               {"pad_left", "pad_right"}};
    for (int axis = 0; axis < 2; ++axis) {
      const int64_t in = shape()[axis + 1];
      const int64_t out = (in + layer.stride - 1) / layer.stride;
      const int64_t pad =
          std::max<int64_t>((out - 1) * layer.stride + layer.size - in, 0);
      attrs.set(names[axis][0], pad / 2);
      attrs.set(names[axis][1], pad - pad / 2);
    }
    return attrs;
  }

  Status add(const Layer& layer) {
    const std::string name = fmt::format("layer{}", count_++);
    const int64_t inner = shape().back();
    switch (layer.kind) {
      case Layer::kConv:
        return linear(ops::kConv2d, name,
                      {layer.channels, layer.size, layer.size, inner}, 0,
                      layer.channels, window(layer));
      case Layer::kDepthwise:
        return linear(ops::kDepthwiseConv2d, name,
                      {1, layer.size, layer.size, inner}, 3, inner,
                      window(layer));
      case Layer::kDense:
        return linear(ops::kFullyConnected, name, {layer.channels, inner}, 0,
                      layer.channels, {});
      case Layer::kMaxPool: return pool(ops::kMaxPool2d, name, layer.size);
      case Layer::kAveragePool: return pool(ops::kAvgPool2d, name, layer.size);
      case Layer::kAdd: break;
    }
    return node(ops::kBinary, name, {last_, last_},
                {{"kind", "add"}, {"act", FT_ACT_RELU}});
  }

  Status linear(const OpDef& op, const std::string& name, const Shape& shape,
                int axis, int64_t channels, Attrs attrs) {
    return node(
        op, name,
        {last_, weight(name + "/w", shape, axis), bias(name + "/b", channels)},
        std::move(attrs));
  }

  Status pool(const OpDef& op, const std::string& name, int64_t size) {
    FT_TRY(last_, append(graph_, op, {last_},
                         {{"filter_h", size},
                          {"filter_w", size},
                          {"stride_h", size},
                          {"stride_w", size}},
                         {.name = name}));
    return ok_status();
  }

  Status node(const OpDef& op, const std::string& name,
              std::vector<ValueId> inputs, Attrs attrs) {
    FT_TRY(last_, append(graph_, op, std::move(inputs), std::move(attrs),
                         {.name = name, .out_quant = out_quant()}));
    return ok_status();
  }

  Status flatten_by_mean() {
    return node(ops::kReduce, "mean", {last_},
                {{"kind", "mean"},
                 {"axes", std::vector<int64_t>{1, 2}},
                 {"keep_dims", 0}});
  }

  Graph& graph_;
  bool int8_;
  ValueId last_ = kNone;
  int count_ = 0;
};

}  // namespace

Result<std::vector<CalibrationModel>> calibration_models(int64_t batch) {
  std::vector<CalibrationModel> models;
  for (const Plan& plan : plans())
    for (const bool int8 : {false, true}) {
      CalibrationModel model{.name = plan.name, .int8 = int8, .graph = Graph()};
      FT_TRY_STATUS(Builder(model.graph, int8).build(plan, batch));
      models.push_back(std::move(model));
    }
  return models;
}

}  // namespace ft::cli
