#include <fmt/format.h>

#include "base/random.h"
#include "kernels/bfp_updates/bfp_updates.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/bfp_common.h"
#include "ops/bfp_ops.h"
#include "ops/top_gradient.h"
#include "passes/integer/integerizer.h"

namespace ft {

using namespace ops;  // the names of ops

void Integerizer::convert_hyper(ValueId v) {
  graph_.value(v).type = {
      .dtype = DType::kS32, .shape = {FT_BFP_HYPER}, .quant = {}};
}

// Magnitudes are in the order of their mantissas, whatever the exponent is.
Status Integerizer::top_gradient(const Node& node) {
  FT_TRY(const Bfp grad, wide(node, 0));
  if (graph_.value(grad.mantissa).type.quant.is_per_channel())
    return usage_error(fmt::format(
        "--update-fraction cannot compare the gradients of '{}' in integers, "
        "where each has a unit of its own; use --precision mixed",
        node.name));
  FT_TRY(const auto kept, append_node(graph_, kTopGradient, {grad.mantissa},
                                      node.attrs, {.name = node.name}));
  map_[node.outputs[0]] = {kept[0], grad.exponent, true};
  map_[node.outputs[1]] = {kept[1], kNone};
  return ok_status();
}

// A float state becomes integers, all zeros.
Status Integerizer::convert_state(const Node& node, ValueId v, DType dtype) {
  if (!is_float(v)) return ok_status();
  Value& value = graph_.value(v);
  if (!value.data.empty()) return unknown(node, " with an initial state");
  value.type = {.dtype = dtype, .shape = value.type.shape, .quant = {}};
  return ok_status();
}

Status Integerizer::update(const Node& node, const OpDef& op, size_t hyper,
                           const std::vector<size_t>& states,
                           size_t positions) {
  FT_TRY(const Bfp param, in(node, 0));
  FT_TRY(const Bfp grad, wide(node, 1));
  convert_hyper(node.inputs[hyper]);
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
    inputs.push_back(i < node.inputs.size() ? node.inputs[i] : kNone);
    if (inputs.back() == kNone) continue;
    FT_TRY_STATUS(convert_state(node, inputs.back(), DType::kS16));
  }
  FT_TRY(const Bfp at, in(node, positions));
  inputs.push_back(at.mantissa);
  return append_node(graph_, op, std::move(inputs), std::move(attrs),
                     {.name = node.name})
      .status();
}

// The sum of gradients, in 32 bits with an exponent of its own.
Status Integerizer::accumulate(const Node& node) {
  FT_TRY(const Bfp grad, wide(node, 1));
  FT_TRY_STATUS(convert_state(node, node.inputs[0], DType::kS32));
  convert_hyper(node.inputs[2]);
  const ValueId exponent =
      graph_.add_value({.name = graph_.value(node.inputs[0]).name + "/exponent",
                        .type = exponent_type(),
                        .kind = ValueKind::kState});
  return become(
      node, kBfpAccumulateGrad,
      {node.inputs[0], exponent, grad.mantissa, grad.exponent, node.inputs[2]},
      node.attrs, true);
}

Status Integerizer::sgd(const Node& node) {
  return update(node, kBfpSgdUpdate, 2, {3}, 4);
}

Status Integerizer::adamw(const Node& node) {
  return update(node, kBfpAdamwUpdate, 4, {2, 3}, 5);
}

}  // namespace ft
