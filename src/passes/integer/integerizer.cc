#include "passes/integer/integerizer.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/bfp.h"
#include "kernels/kernel.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/bfp_common.h"
#include "ops/conv_common.h"
#include "ops/top_gradient.h"
#include "passes/integerize.h"

namespace ft {

using namespace ops;  // the names of ops

Status Integerizer::run() {
  convert_params();
  std::vector<Node> nodes;
  for (NodeId n = 0; n < graph_.num_nodes(); ++n)
    nodes.push_back(graph_.node(n));
  graph_.set_nodes({});
  for (const Node& node : nodes) FT_TRY_STATUS(convert(node));
  FT_TRY_STATUS(convert_outputs());
  for (const ValueId in : graph_.inputs)
    if (is_float(in))
      return invalid_input(fmt::format(
          "integer training needs an int8 model, but input '{}' is {}; use "
          "--precision f32",
          graph_.value(in).name, graph_.value(in).type.to_string()));
  return ok_status();
}

void Integerizer::convert_params() {
  const auto units = units_of_params();
  for (ValueId v = 0, end = graph_.num_values(); v < end; ++v) {
    if (graph_.value(v).kind != ValueKind::kParam || !is_float(v)) continue;
    const auto real = data_of<float>(graph_.value(v));
    const ValueId exponent =
        graph_.add_value({.name = exponent_name(graph_.value(v).name),
                          .type = exponent_type(),
                          .kind = ValueKind::kParam});
    Value& value = graph_.value(v);
    value.type.dtype = DType::kS16;
    value.type.quant = QuantParams::per_tensor(1, 0);
    if (const auto own = units.find(v); own != units.end())
      value.type = with_units(value.type, own->second);
    set_integer_param(graph_, v, real);
    map_[v] = {v, exponent};
  }
}

Bfp Integerizer::as_constant(ValueId v) {
  const Value& value = graph_.value(v);
  const std::string name = value.name;
  const BfpValues bfp = to_bfp(data_of<float>(value));
  const ValueId mantissa =
      graph_.add_owned(ValueKind::kConstant, name + "/mantissa",
                       bfp_type(value.type.shape, 1), bfp.mantissas);
  return {mantissa, graph_.add_owned(ValueKind::kConstant, exponent_name(name),
                                     exponent_type(),
                                     std::vector<int32_t>{bfp.exponent})};
}

bool Integerizer::is_float(ValueId v) const {
  return v != kNone && graph_.value(v).type.dtype == DType::kF32;
}

Status Integerizer::unknown(const Node& node, const char* what) const {
  return invalid_input(
      fmt::format("integer training knows no {}{} ('{}'); use --precision "
                  "mixed",
                  node.op->name, what, node.name));
}

Result<Bfp> Integerizer::at(const Node& node, ValueId v) {
  if (const auto found = map_.find(v); found != map_.end()) {
    if (found->second.is_inverse)
      return unknown(node, " of lengths but a division by them");
    return found->second;
  }
  if (!is_float(v)) return Bfp{v, kNone};
  if (graph_.value(v).kind == ValueKind::kConstant)
    return map_[v] = as_constant(v);
  return unknown(
      node,
      fmt::format(" with the float input '{}'", graph_.value(v).name).c_str());
}

Result<Bfp> Integerizer::in(const Node& node, size_t i) {
  if (i >= node.inputs.size() || node.inputs[i] == kNone) return Bfp{};
  return at(node, node.inputs[i]);
}

Result<Bfp> Integerizer::wide(const Node& node, size_t i) {
  FT_TRY(const Bfp x, in(node, i));
  if (x.mantissa == kNone || x.exponent != kNone) return x;
  return emit(kBfpDequantize, node.name + "/wide", {x.mantissa}, {}, false);
}

Result<Bfp> Integerizer::spread(const Node& node, size_t i) {
  FT_TRY(Bfp x, wide(node, i));
  const Shape y = graph_.value(node.outputs[0]).type.shape;
  const Shape shape = graph_.value(x.mantissa).type.shape;
  if (shape == y) return x;
  std::vector<int64_t> ones(
      static_cast<size_t>(std::max(0, y.rank() - shape.rank())), 1);
  ones.insert(ones.end(), shape.dims().begin(), shape.dims().end());
  const std::string name = fmt::format("{}/operand{}", node.name, i);
  FT_TRY(x.mantissa,
         reshaped(name, x.mantissa, Shape(std::span<const int64_t>(ones))));
  const std::vector<int64_t> dims(y.dims().begin(), y.dims().end());
  FT_TRY(const Bfp wide, emit(kBfpBroadcastTo, name + "/spread", {x.mantissa},
                              {{"shape", dims}}, false));
  x.mantissa = wide.mantissa;
  return x;
}

Result<ValueId> Integerizer::reshaped(const std::string& name, ValueId v,
                                      const Shape& shape) {
  const std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
  return append(graph_, kReshape, {v}, {{"shape", dims}}, {.name = name});
}

Result<Bfp> Integerizer::emit(const OpDef& op, std::string name,
                              std::vector<ValueId> inputs, Attrs attrs,
                              bool is_gradient) {
  FT_TRY(const auto outputs,
         append_node(graph_, op, std::move(inputs), std::move(attrs),
                     {.name = std::move(name)}));
  return Bfp{outputs[0], outputs.size() > 1 ? outputs[1] : kNone, is_gradient};
}

Status Integerizer::become(const Node& node, const OpDef& op,
                           std::vector<ValueId> inputs, Attrs attrs,
                           bool is_gradient) {
  FT_TRY(map_[node.outputs[0]],
         emit(op, node.name, std::move(inputs), std::move(attrs), is_gradient));
  return ok_status();
}

Status Integerizer::become_scaled(const Node& node, const OpDef& op,
                                  std::vector<ValueId> inputs, const Bfp& x) {
  FT_TRY(Bfp y,
         emit(op, node.name, std::move(inputs), node.attrs, x.is_gradient));
  y.exponent = x.exponent;
  map_[node.outputs[0]] = y;
  return ok_status();
}

Status Integerizer::keep_output(Node node, const OpDef& op,
                                std::vector<ValueId> inputs) {
  node.op = &op;
  node.inputs = std::move(inputs);
  graph_.add_node(std::move(node));
  return ok_status();
}

ValueId Integerizer::add_state(const Node& node) {
  return graph_.add_value({.name = node.name + "/shift",
                           .type = exponent_type(),
                           .kind = ValueKind::kState});
}

ValueId Integerizer::maybe_state(const Node& node, bool is_gradient) {
  return is_gradient ? add_state(node) : kNone;
}

Status Integerizer::convert(const Node& node) {
  const bool floats =
      std::ranges::any_of(
          node.inputs,
          [&](ValueId v) { return is_float(v) || map_.contains(v); }) ||
      std::ranges::any_of(node.outputs, [&](ValueId v) { return is_float(v); });
  const bool has_int8_output =
      !node.outputs.empty() &&
      graph_.value(node.outputs[0]).type.dtype == DType::kS8;
  const bool is_layer = node.op == &kConv2d || node.op == &kFullyConnected ||
                        node.op == &kDepthwiseConv2d;
  if (has_int8_output && is_layer) return int8_layer(node);
  if (!floats) {
    graph_.add_node(node);
    return ok_status();
  }
  for (const Rule& rule : rules())
    if (rule.op == node.op) return (this->*rule.convert)(node);
  return unknown(node);
}

std::span<const Integerizer::Rule> Integerizer::rules() {
  using I = Integerizer;
  static const Rule kRules[] = {
      {&kConv2d, &I::conv},
      {&kFullyConnected, &I::dense},
      {&kMatmul, &I::matmul},
      {&kConv2dInputGrad, &I::input_grad},
      {&kConv2dWeightGrad, &I::weight_grad},
      {&kDepthwiseConv2dInputGrad, &I::depthwise_input_grad},
      {&kDepthwiseConv2dWeightGrad, &I::weight_grad},
      {&kGainGrad, &I::gain_grad},
      {&kSparseConv2d, &I::sparse},
      {&kSparseConv2dValuesGrad, &I::sparse},
      {&kSparseConv2dInputGrad, &I::sparse_input_grad},
      {&kBlockConv2d, &I::block},
      {&kBlockConv2dWeightGrad, &I::block},
      {&kBlockConv2dInputGrad, &I::block_input_grad},
      {&kWeightNorm, &I::weight_norm},
      {&kActivationGrad, &I::activation_grad},
      {&kAvgPool2dGrad, &I::avg_pool_grad},
      {&kMaxPool2dGrad, &I::max_pool_grad},
      {&kBinary, &I::binary},
      {&kResidualAdd, &I::residual_add},
      {&kReduce, &I::reduce},
      {&kBroadcastTo, &I::broadcast_to},
      {&kReshape, &I::movement},
      {&kTranspose, &I::movement},
      {&kSlice, &I::movement},
      {&kStridedSlice, &I::movement},
      {&kStridedSliceGrad, &I::movement},
      {&kSplit, &I::movement},
      {&kGather, &I::movement},
      {&kGatherGrad, &I::gather_grad},
      {&kConcat, &I::concat},
      {&kPad, &I::pad},
      {&kMinmaxQuantizer, &I::minmax_quantizer},
      {&kFakeQuantize, &I::fake_quantize},
      {&kDequantize, &I::dequantize},
      {&kQuantize, &I::quantize},
      {&kSoftmax, &I::softmax},
      {&kSoftmaxCrossEntropy, &I::entropy},
      {&kSoftmaxCrossEntropyGrad, &I::entropy_grad},
      {&kMseLoss, &I::mse},
      {&kMseLossGrad, &I::mse_grad},
      {&kAccumulateGrad, &I::accumulate},
      {&kTopGradient, &I::top_gradient},
      {&kSgdUpdate, &I::sgd},
      {&kAdamwUpdate, &I::adamw},
  };
  return kRules;
}

Status Integerizer::convert_outputs() {
  std::vector<ValueId> outputs;
  for (const ValueId v : graph_.outputs) {
    const auto found = map_.find(v);
    if (found == map_.end()) {
      if (is_float(v))
        return invalid_input(
            fmt::format("integer training cannot answer with the float '{}'",
                        graph_.value(v).name));
      outputs.push_back(v);
      continue;
    }
    outputs.push_back(found->second.mantissa);
    if (found->second.exponent != kNone)
      outputs.push_back(found->second.exponent);
  }
  graph_.outputs = std::move(outputs);
  return ok_status();
}

}  // namespace ft
