#include "passes/integerize.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/random.h"
#include "ir/bfp.h"
#include "kernels/bfp_updates/bfp_updates.h"
#include "kernels/kernel.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

using namespace ops;  // the names of ops

// What a float32 value became. An int8 value read as real numbers has no
// exponent.
struct Bfp {
  ValueId mantissa = kNone, exponent = kNone;
  bool is_gradient = false;  // depends on the loss
};

TensorType exponent_type() {
  return {.dtype = DType::kS32, .shape = {1}, .quant = {}};
}

class Integerizer {
 public:
  explicit Integerizer(Graph& graph) : graph_(graph) {}

  Status run() {
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

 private:
  bool is_float(ValueId v) const {
    return v != kNone && graph_.value(v).type.dtype == DType::kF32;
  }

  Status unknown(const Node& node, const char* what = "") const {
    return invalid_input(
        fmt::format("integer training knows no {}{} ('{}'); use --precision "
                    "mixed",
                    node.op->name, what, node.name));
  }

  void convert_params() {
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
      set_integer_param(graph_, v, real);
      map_[v] = {v, exponent};
    }
  }

  // --- Operands
  // ---------------------------------------------------------------

  // Fails for a float that no converted node made.
  Result<Bfp> at(const Node& node, ValueId v) {
    if (const auto found = map_.find(v); found != map_.end())
      return found->second;
    if (!is_float(v)) return Bfp{v, kNone};
    return unknown(
        node, fmt::format(" with the float input '{}'", graph_.value(v).name)
                  .c_str());
  }
  Result<Bfp> in(const Node& node, size_t i) {
    if (i >= node.inputs.size() || node.inputs[i] == kNone) return Bfp{};
    return at(node, node.inputs[i]);
  }
  // As mantissas: an int8 value is widened, once for each reader.
  Result<Bfp> wide(const Node& node, size_t i) {
    FT_TRY(const Bfp x, in(node, i));
    if (x.mantissa == kNone || x.exponent != kNone) return x;
    return emit(kBfpDequantize, node.name + "/wide", {x.mantissa}, {}, false);
  }

  // --- Results
  // ----------------------------------------------------------------

  Result<Bfp> emit(const OpDef& op, std::string name,
                   std::vector<ValueId> inputs, Attrs attrs, bool is_gradient) {
    FT_TRY(const auto outputs,
           append_node(graph_, op, std::move(inputs), std::move(attrs),
                       {.name = std::move(name)}));
    return Bfp{outputs[0], outputs.size() > 1 ? outputs[1] : kNone,
               is_gradient};
  }

  // The node's output 0 is what `op` gives.
  Status become(const Node& node, const OpDef& op, std::vector<ValueId> inputs,
                Attrs attrs, bool is_gradient) {
    FT_TRY(map_[node.outputs[0]], emit(op, node.name, std::move(inputs),
                                       std::move(attrs), is_gradient));
    return ok_status();
  }

  // The same for ops that leave the exponent alone.
  Status become_scaled(const Node& node, const OpDef& op,
                       std::vector<ValueId> inputs, const Bfp& x) {
    FT_TRY(Bfp y,
           emit(op, node.name, std::move(inputs), node.attrs, x.is_gradient));
    y.exponent = x.exponent;
    map_[node.outputs[0]] = y;
    return ok_status();
  }

  // An int8 node keeps its output value.
  Status keep_output(Node node, const OpDef& op, std::vector<ValueId> inputs) {
    node.op = &op;
    node.inputs = std::move(inputs);
    graph_.add_node(std::move(node));
    return ok_status();
  }

  ValueId add_state(const Node& node) {
    return graph_.add_value({.name = node.name + "/shift",
                             .type = exponent_type(),
                             .kind = ValueKind::kState});
  }
  // Only gradients predict their exponents: a forward pass must not depend on
  // the step before.
  ValueId maybe_state(const Node& node, bool is_gradient) {
    return is_gradient ? add_state(node) : kNone;
  }

  // --- Rules
  // ------------------------------------------------------------------

  Status convert(const Node& node) {
    const bool floats =
        std::ranges::any_of(
            node.inputs,
            [&](ValueId v) { return is_float(v) || map_.contains(v); }) ||
        std::ranges::any_of(node.outputs,
                            [&](ValueId v) { return is_float(v); });
    const bool has_int8_output =
        !node.outputs.empty() &&
        graph_.value(node.outputs[0]).type.dtype == DType::kS8;
    const bool is_conv = node.op == &kConv2d || node.op == &kFullyConnected;
    if (has_int8_output && is_conv) return int8_layer(node);
    if (has_int8_output && node.op == &kDepthwiseConv2d)
      return int8_depthwise(node);
    if (!floats) {
      graph_.add_node(node);
      return ok_status();
    }
    for (const Rule& rule : rules())
      if (rule.op == node.op) return (this->*rule.convert)(node);
    return unknown(node);
  }

  struct Rule {
    const OpDef* op;
    Status (Integerizer::*convert)(const Node& node);
  };
  static std::span<const Rule> rules() {
    using I = Integerizer;
    static const Rule kRules[] = {
        {&kConv2d, &I::conv},
        {&kFullyConnected, &I::dense},
        {&kMatmul, &I::matmul},
        {&kConv2dInputGrad, &I::input_grad},
        {&kConv2dWeightGrad, &I::weight_grad},
        {&kDepthwiseConv2dInputGrad, &I::depthwise_input_grad},
        {&kDepthwiseConv2dWeightGrad, &I::weight_grad},
        {&kActivationGrad, &I::activation_grad},
        {&kAvgPool2dGrad, &I::avg_pool_grad},
        {&kMaxPool2dGrad, &I::max_pool_grad},
        {&kBinary, &I::binary},
        {&kReduce, &I::reduce},
        {&kBroadcastTo, &I::broadcast_to},
        {&kReshape, &I::movement},
        {&kTranspose, &I::movement},
        {&kSlice, &I::movement},
        {&kStridedSlice, &I::movement},
        {&kStridedSliceGrad, &I::movement},
        {&kSplit, &I::movement},
        {&kDequantize, &I::dequantize},
        {&kQuantize, &I::quantize},
        {&kSoftmax, &I::softmax},
        {&kSoftmaxCrossEntropy, &I::entropy},
        {&kSoftmaxCrossEntropyGrad, &I::entropy_grad},
        {&kMseLoss, &I::mse},
        {&kMseLossGrad, &I::mse_grad},
        {&kSgdUpdate, &I::sgd},
        {&kAdamwUpdate, &I::adamw},
    };
    return kRules;
  }

  Status int8_layer(const Node& node) {
    if (node.inputs.size() > 5) return unknown(node, " with further inputs");
    FT_TRY(const Bfp h, wide(node, 3));
    FT_TRY(const Bfp b, wide(node, 4));
    std::vector<ValueId> inputs(node.inputs.begin(), node.inputs.end());
    inputs.resize(3, kNone);
    if (h.mantissa != kNone)
      for (const ValueId v : {h.mantissa, h.exponent, b.mantissa, b.exponent})
        inputs.push_back(v);
    return keep_output(node, kBfpSideConv2d, std::move(inputs));
  }

  Status int8_depthwise(const Node& node) {
    if (node.inputs.size() > 4) return unknown(node, " with further inputs");
    FT_TRY(const Bfp delta, wide(node, 3));
    std::vector<ValueId> inputs(node.inputs.begin(), node.inputs.end());
    inputs.resize(3, kNone);
    if (delta.mantissa != kNone) {
      inputs.push_back(delta.mantissa);
      inputs.push_back(delta.exponent);
    }
    return keep_output(node, kBfpSideDepthwiseConv2d, std::move(inputs));
  }

  Status conv(const Node& node) {
    if (node.inputs.size() > 3) return unknown(node, " with a float side");
    FT_TRY(const Bfp x, in(node, 0));
    FT_TRY(const Bfp w, wide(node, 1));
    FT_TRY(const Bfp bias, wide(node, 2));
    return become(node, kBfpConv2d,
                  {x.mantissa, w.mantissa, w.exponent, x.exponent,
                   bias.mantissa, bias.exponent},
                  node.attrs, false);
  }

  Result<ValueId> reshaped(const std::string& name, ValueId v,
                           const Shape& shape) {
    const std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
    return append(graph_, kReshape, {v}, {{"shape", dims}}, {.name = name});
  }

  // A 1 x 1 convolution of rows.
  Status dense(const Node& node) {
    if (node.inputs.size() > 3) return unknown(node, " with a float side");
    FT_TRY(const Bfp x, in(node, 0));
    FT_TRY(const Bfp w, wide(node, 1));
    FT_TRY(const Bfp bias, wide(node, 2));
    const Shape ws = graph_.value(w.mantissa).type.shape;
    const Shape ys = graph_.value(node.outputs[0]).type.shape;
    const int64_t rows = ys.num_elements() / ws[0];
    FT_TRY(const ValueId x4,
           reshaped(node.name + "/rows", x.mantissa, {rows, 1, 1, ws[1]}));
    FT_TRY(const ValueId w4,
           reshaped(node.name + "/kernel", w.mantissa, {ws[0], 1, 1, ws[1]}));
    FT_TRY(Bfp y,
           emit(kBfpConv2d, node.name,
                {x4, w4, w.exponent, x.exponent, bias.mantissa, bias.exponent},
                {{"act", node.attrs.get_int("act", FT_ACT_NONE)}}, false));
    FT_TRY(y.mantissa, reshaped(node.name + "/y", y.mantissa, ys));
    map_[node.outputs[0]] = y;
    return ok_status();
  }

  Status matmul(const Node& node) {
    FT_TRY(const Bfp a, in(node, 0));
    FT_TRY(const Bfp b, in(node, 1));
    const bool is_gradient = a.is_gradient || b.is_gradient;
    return become(node, kBfpMatmul,
                  {a.mantissa, b.mantissa, a.exponent, b.exponent,
                   maybe_state(node, is_gradient)},
                  node.attrs, is_gradient);
  }

  Status input_grad(const Node& node) {
    FT_TRY(const Bfp dy, wide(node, 0));
    FT_TRY(const Bfp w, in(node, 1));
    return become(
        node, kBfpConv2dInputGrad,
        {dy.mantissa, dy.exponent, w.mantissa, w.exponent, add_state(node)},
        node.attrs, true);
  }

  Status weight_grad(const Node& node) {
    FT_TRY(const Bfp x, in(node, 0));
    FT_TRY(const Bfp dy, wide(node, 1));
    const OpDef& op = node.op == &kConv2dWeightGrad
                          ? kBfpConv2dWeightGrad
                          : kBfpDepthwiseConv2dWeightGrad;
    return become(
        node, op,
        {x.mantissa, dy.mantissa, dy.exponent, x.exponent, add_state(node)},
        node.attrs, true);
  }

  // The few weights of a depthwise layer are widened and take up the delta.
  Status depthwise_input_grad(const Node& node) {
    FT_TRY(const Bfp dy, wide(node, 0));
    FT_TRY(Bfp w, wide(node, 1));
    FT_TRY(const Bfp delta, wide(node, 2));
    if (delta.mantissa != kNone) {
      FT_TRY(w, emit(kBfpAdd, node.name + "/w",
                     {w.mantissa, w.exponent, delta.mantissa, delta.exponent},
                     {}, false));
    }
    return become(
        node, kBfpDepthwiseConv2dInputGrad,
        {dy.mantissa, dy.exponent, w.mantissa, w.exponent, add_state(node)},
        node.attrs, true);
  }

  Status activation_grad(const Node& node) {
    FT_TRY(const Bfp dy, wide(node, 0));
    FT_TRY(const Bfp y, in(node, 1));
    if (y.exponent != kNone) return unknown(node, " of real values");
    return become_scaled(node, kBfpActivationGrad, {dy.mantissa, y.mantissa},
                         dy);
  }

  Status avg_pool_grad(const Node& node) {
    FT_TRY(const Bfp dy, wide(node, 0));
    return become(node, kBfpAvgPool2dGrad,
                  {dy.mantissa, dy.exponent, add_state(node)}, node.attrs,
                  true);
  }

  Status max_pool_grad(const Node& node) {
    FT_TRY(const Bfp dy, wide(node, 0));
    FT_TRY(const Bfp x, in(node, 1));
    FT_TRY(const Bfp y, in(node, 2));
    return become(
        node, kBfpMaxPool2dGrad,
        {dy.mantissa, dy.exponent, x.mantissa, y.mantissa, add_state(node)},
        node.attrs, true);
  }

  // Sums of gradients.
  Status binary(const Node& node) {
    if (node.attrs.get_word("kind") != "add" ||
        node.attrs.get_int("act") != FT_ACT_NONE)
      return unknown(node, " but plain sums");
    FT_TRY(const Bfp a, wide(node, 0));
    FT_TRY(const Bfp b, wide(node, 1));
    return become(node, kBfpAdd,
                  {a.mantissa, a.exponent, b.mantissa, b.exponent}, {},
                  a.is_gradient || b.is_gradient);
  }

  Status reduce(const Node& node) {
    FT_TRY(const Bfp x, wide(node, 0));
    return become(node, kBfpReduce,
                  {x.mantissa, x.exponent, maybe_state(node, x.is_gradient)},
                  node.attrs, x.is_gradient);
  }

  Status broadcast_to(const Node& node) {
    FT_TRY(const Bfp x, wide(node, 0));
    return become_scaled(node, kBfpBroadcastTo, {x.mantissa}, x);
  }

  Status movement(const Node& node) {
    FT_TRY(const Bfp x, wide(node, 0));
    std::vector<ValueId> inputs(node.inputs.begin(), node.inputs.end());
    inputs[0] = x.mantissa;
    FT_TRY(const auto outputs, append_node(graph_, *node.op, std::move(inputs),
                                           node.attrs, {.name = node.name}));
    for (size_t i = 0; i < outputs.size(); ++i)
      map_[node.outputs[i]] = {outputs[i], x.exponent, x.is_gradient};
    return ok_status();
  }

  Status dequantize(const Node& node) {
    FT_TRY(map_[node.outputs[0]], in(node, 0));
    return ok_status();
  }

  Status quantize(const Node& node) {
    FT_TRY(const Bfp x, wide(node, 0));
    if (graph_.value(node.outputs[0]).type.dtype != DType::kS8)
      return unknown(node, " to other than int8");
    if (x.exponent == kNone) return unknown(node);
    Node made = node;
    made.attrs = {};
    return keep_output(std::move(made), kBfpQuantize, {x.mantissa, x.exponent});
  }

  Status softmax(const Node& node) {
    FT_TRY(const Bfp x, wide(node, 0));
    return become(node, kBfpSoftmax, {x.mantissa, x.exponent}, node.attrs,
                  false);
  }

  Status entropy(const Node& node) {
    FT_TRY(const Bfp x, wide(node, 0));
    return become(node, kBfpSoftmaxCrossEntropy,
                  {x.mantissa, x.exponent, node.inputs[1]}, {}, false);
  }

  Status entropy_grad(const Node& node) {
    FT_TRY_STATUS(check_seed(node));
    FT_TRY(const Bfp x, wide(node, 0));
    return become(node, kBfpSoftmaxCrossEntropyGrad,
                  {x.mantissa, x.exponent, node.inputs[1]}, {}, true);
  }

  // The gradient of the loss by itself.
  Status check_seed(const Node& node) const {
    const Value& seed = graph_.value(node.inputs[2]);
    if (seed.kind == ValueKind::kConstant && data_of<float>(seed)[0] == 1.0f)
      return ok_status();
    return unknown(node, " of a loss that is not the last value");
  }

  // The target counts in 1/64 of the steps of the model's int8 output.
  Result<ValueId> target(const Node& node) {
    const ValueId v = node.inputs[1];
    if (!is_float(v)) return v;
    Value& value = graph_.value(v);
    FT_TRY(const Bfp pred, in(node, 0));
    if (value.kind != ValueKind::kInput)
      return unknown(node, " with a computed target");
    const TensorType& type = graph_.value(pred.mantissa).type;
    const float scale =
        type.dtype == DType::kS8 ? type.quant.scale[0] : 1.0f / 16;
    value.type.dtype = DType::kS32;
    value.type.quant = QuantParams::per_tensor(scale / 64, 0);
    return v;
  }

  Status mse(const Node& node) {
    FT_TRY(const ValueId t, target(node));
    FT_TRY(const Bfp pred, wide(node, 0));
    return become(node, kBfpMseLoss, {pred.mantissa, pred.exponent, t}, {},
                  false);
  }

  Status mse_grad(const Node& node) {
    FT_TRY_STATUS(check_seed(node));
    FT_TRY(const ValueId t, target(node));
    FT_TRY(const Bfp pred, wide(node, 0));
    return become(node, kBfpMseLossGrad, {pred.mantissa, pred.exponent, t}, {},
                  true);
  }

  // --- Updates
  // ----------------------------------------------------------------

  // A float state becomes int16, all zeros.
  Status convert_state(const Node& node, ValueId v) {
    if (!is_float(v)) return ok_status();
    Value& value = graph_.value(v);
    if (!value.data.empty()) return unknown(node, " with an initial state");
    value.type = {.dtype = DType::kS16, .shape = value.type.shape, .quant = {}};
    return ok_status();
  }

  Status update(const Node& node, const OpDef& op, size_t hyper,
                const std::vector<size_t>& states) {
    FT_TRY(const Bfp param, in(node, 0));
    FT_TRY(const Bfp grad, wide(node, 1));
    Value& h = graph_.value(node.inputs[hyper]);
    h.type = {.dtype = DType::kS32, .shape = {FT_BFP_HYPER}, .quant = {}};
    const Value residual{
        .name = graph_.value(param.mantissa).name + "/residual",
        .type = {.dtype = DType::kS16,
                 .shape = graph_.value(param.mantissa).type.shape,
                 .quant = {}},
        .kind = ValueKind::kState};
    Attrs attrs = node.attrs;
    attrs.set("stream", static_cast<int64_t>(stream_id(
                            "round/" + graph_.value(param.mantissa).name)));
    std::vector<ValueId> inputs = {
        param.mantissa, param.exponent,     grad.mantissa,
        grad.exponent,  node.inputs[hyper], graph_.add_value(residual)};
    for (const size_t i : states) {
      if (i >= node.inputs.size()) continue;
      FT_TRY_STATUS(convert_state(node, node.inputs[i]));
      inputs.push_back(node.inputs[i]);
    }
    return append_node(graph_, op, std::move(inputs), std::move(attrs),
                       {.name = node.name})
        .status();
  }

  Status sgd(const Node& node) { return update(node, kBfpSgdUpdate, 2, {3}); }
  Status adamw(const Node& node) {
    return update(node, kBfpAdamwUpdate, 4, {2, 3});
  }

  Status convert_outputs() {
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

  Graph& graph_;
  std::map<ValueId, Bfp> map_;  // by the float32 value
};

}  // namespace

std::string exponent_name(const std::string& name) {
  return name + "/exponent";
}

void set_integer_param(Graph& graph, ValueId param,
                       std::span<const float> real) {
  const BfpValues bfp = to_bfp(real);
  const ValueId exponent =
      graph.find_value(exponent_name(graph.value(param).name));
  FT_CHECK(exponent != kNone);
  graph.value(param).data = graph.own(std::as_bytes(std::span(bfp.mantissas)));
  graph.value(exponent).data =
      graph.own(std::as_bytes(std::span(&bfp.exponent, 1)));
}

Status integerize(Graph& graph) { return Integerizer(graph).run(); }

}  // namespace ft
