#include "ops/print.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "ops/op_def.h"

namespace ft {
namespace {

std::string_view name_of(ValueKind kind) {
  switch (kind) {
    case ValueKind::kInput: return "input";
    case ValueKind::kConstant: return "constant";
    case ValueKind::kParam: return "param";
    case ValueKind::kState: return "state";
    case ValueKind::kActivation: return "activation";
  }
  return "?";
}

std::string id_text(ValueId id) {
  return id == kNone ? "-" : fmt::format("%{}", id);
}

std::string quant_text(const QuantParams& quant) {
  if (quant.empty()) return "";
  if (quant.is_per_channel())
    return fmt::format(" scales {} along {}", quant.scale.size(),
                       quant.quantized_dimension);
  return fmt::format(" scale {} zero_point {}", quant.scale[0],
                     quant.zero_point.empty() ? 0 : quant.zero_point[0]);
}

std::string value_text(const Graph& graph, ValueId id) {
  if (id < 0 || id >= graph.num_values()) return id_text(id) + " (no value)";
  const Value& value = graph.value(id);
  return fmt::format("{} '{}' {}{}", id_text(id), value.name,
                     value.type.to_string(), quant_text(value.type.quant));
}

std::string node_text(const Graph& graph, const Node& node) {
  std::vector<std::string> outputs, inputs;
  for (const ValueId id : node.outputs)
    outputs.push_back(value_text(graph, id));
  for (const ValueId id : node.inputs) inputs.push_back(id_text(id));
  std::string line;
  if (!outputs.empty()) line = fmt::format("{} = ", fmt::join(outputs, ", "));
  line += fmt::format("{}({})", node.op ? node.op->name : "?",
                      fmt::join(inputs, ", "));
  if (!node.attrs.all().empty()) line += " " + node.attrs.to_string();
  return line + fmt::format("  # '{}'\n", node.name);
}

std::string ids_text(const std::vector<ValueId>& ids) {
  std::vector<std::string> texts;
  for (const ValueId id : ids) texts.push_back(id_text(id));
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace

std::string print_graph(const Graph& graph) {
  std::string text = fmt::format("graph({}) -> ({})\n", ids_text(graph.inputs),
                                 ids_text(graph.outputs));
  for (ValueId id = 0; id < graph.num_values(); ++id)
    if (graph.value(id).kind != ValueKind::kActivation)
      text += fmt::format("{} {}\n", name_of(graph.value(id).kind),
                          value_text(graph, id));
  for (NodeId id = 0; id < graph.num_nodes(); ++id)
    text += node_text(graph, graph.node(id));
  return text;
}

}  // namespace ft
