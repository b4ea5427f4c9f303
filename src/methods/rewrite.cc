#include "methods/rewrite.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

Result<ValueId> join(Graph& graph, ValueId a, ValueId b,
                     const std::string& name) {
  const int axis = graph.value(a).type.shape.rank() - 1;
  return append(graph, ops::kConcat, {a, b}, {{"axis", axis}}, {.name = name});
}

}  // namespace

Result<ValueId> append_scaled(Graph& graph, ValueId x, double factor) {
  const std::string name = graph.value(x).name + "/scaled";
  const ValueId constant =
      graph.add_owned(ValueKind::kConstant, name + "/by",
                      {.dtype = DType::kF32, .shape = {1}, .quant = {}},
                      std::vector<float>{static_cast<float>(factor)});
  return append(graph, ops::kBinary, {x, constant}, {{"kind", "mul"}},
                {.name = name});
}

void move_in_front(Graph& graph, NodeId first_new, NodeId before) {
  std::vector<Node> nodes;
  for (NodeId n = 0; n < graph.num_nodes(); ++n) nodes.push_back(graph.node(n));
  std::rotate(nodes.begin() + before, nodes.begin() + first_new, nodes.end());
  graph.set_nodes(std::move(nodes));
}

void insert_behind(Graph& graph, NodeId first_new, ValueId from, ValueId to,
                   NodeId before) {
  replace_reads(graph, first_new, from, to);
  std::ranges::replace(graph.outputs, from, to);
  const NodeId producer = graph.value(from).producer;
  if (before == kNone) before = producer == kNone ? 0 : producer + 1;
  move_in_front(graph, first_new, before);
}

Status check_unscaled(const Graph& graph, NodeId layer) {
  const Node& node = graph.node(layer);
  const bool has_gain = node.inputs.size() > 5 && node.inputs[5] != kNone;
  if (!has_gain && !node.attrs.has(kScaledInput)) return ok_status();
  return usage_error(fmt::format(
      "an earlier adapter scales what '{}' reads or gives; name that adapter "
      "last",
      node.name));
}

Status join_side(Graph& graph, NodeId layer, ValueId h, ValueId b,
                 double scaling) {
  FT_TRY_STATUS(check_unscaled(graph, layer));
  const Node old = graph.node(layer);
  if (old.inputs.size() >= 5 && old.inputs[3] != kNone) {
    ValueId old_b = old.inputs[4];
    const double old_scaling = old.attrs.get_real("lora_scaling", 1);
    if (old_scaling != scaling) {
      FT_TRY(old_b, append_scaled(graph, old_b, old_scaling));
      FT_TRY(b, append_scaled(graph, b, scaling));
      scaling = 1;
    }
    FT_TRY(h, join(graph, old.inputs[3], h, old.name + "/side_h"));
    FT_TRY(b, join(graph, old_b, b, old.name + "/side_b"));
  }
  set_input(graph, layer, 3, h);
  set_input(graph, layer, 4, b);
  graph.node(layer).attrs.set("lora_scaling", scaling);
  return ok_status();
}

Status add_weight_delta(Graph& graph, NodeId layer, ValueId delta) {
  FT_TRY_STATUS(check_unscaled(graph, layer));
  const Node old = graph.node(layer);
  if (old.inputs.size() > 3 && old.inputs[3] != kNone) {
    FT_TRY(delta, append(graph, ops::kBinary, {old.inputs[3], delta},
                         {{"kind", "add"}}, {.name = old.name + "/delta"}));
  }
  set_input(graph, layer, 3, delta);
  return ok_status();
}

Status add_gain(Graph& graph, NodeId layer, ValueId gain, bool of_bias) {
  const Node old = graph.node(layer);
  if (old.inputs.size() > 5 && old.inputs[5] != kNone) {
    if ((old.attrs.get_int("gain_bias") != 0) != of_bias)
      return usage_error(
          fmt::format("'{}' has an adapter already that scales it without its "
                      "bias, or with "
                      "it, and another that does the contrary",
                      old.name));
    FT_TRY(gain, append(graph, ops::kBinary, {old.inputs[5], gain},
                        {{"kind", "mul"}}, {.name = old.name + "/gain"}));
  }
  set_input(graph, layer, 5, gain);
  graph.node(layer).attrs.set("gain_bias", int64_t{of_bias});
  return ok_status();
}

void replace_reads(Graph& graph, NodeId end, ValueId from, ValueId to) {
  for (NodeId n = 0; n < end; ++n)
    std::ranges::replace(graph.node(n).inputs, from, to);
}

void set_input(Graph& graph, NodeId node, size_t i, ValueId value) {
  std::vector<ValueId>& inputs = graph.node(node).inputs;
  if (inputs.size() <= i) inputs.resize(i + 1, kNone);
  inputs[i] = value;
}

AdaptableModule current(const Graph& graph, AdaptableModule module) {
  for (const AdaptableModule& now : adaptable_modules(graph))
    if (now.name == module.name) module.node = now.node;
  return module;
}

Status rewrite_modules(Graph& graph, std::span<const AdaptableModule> modules,
                       const ModuleRewrite& rewrite) {
  for (const AdaptableModule& selected : modules) {
    const AdaptableModule m = current(graph, selected);
    const NodeId first_new = graph.num_nodes();
    FT_TRY_STATUS(rewrite(m));
    if (graph.num_nodes() > first_new) move_in_front(graph, first_new, m.node);
  }
  return ok_status();
}

Status rewrite_modules(Graph& graph, const MethodSettings& settings,
                       const ModuleRewrite& rewrite) {
  FT_TRY(const auto modules, select_modules(graph, settings));
  return rewrite_modules(graph, modules, rewrite);
}

}  // namespace ft
