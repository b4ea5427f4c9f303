#include "methods/compose.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
namespace ft {
namespace {

// Which values have a part in the graph's outputs.
std::vector<bool> live_values(const Graph& graph) {
  std::vector<bool> live(static_cast<size_t>(graph.num_values()), false);
  std::vector<ValueId> open = graph.outputs;
  while (!open.empty()) {
    const ValueId v = open.back();
    open.pop_back();
    if (v == kNone || live[static_cast<size_t>(v)]) continue;
    live[static_cast<size_t>(v)] = true;
    if (const NodeId n = graph.value(v).producer; n != kNone) {
      const auto& inputs = graph.node(n).inputs;
      open.insert(open.end(), inputs.begin(), inputs.end());
    }
  }
  return live;
}

Status check_weight(const MethodDef& method, double weight) {
  if (weight == 1 || method.weighted) return ok_status();
  return usage_error(fmt::format(
      "method {} takes no weight but 0 and 1: {} is no factor of what it does",
      method.name, weight));
}

// Value names are unique in a graph; the second adapter would repeat those of
// the first. The new head keeps the layer's name.
void rename_new(Graph& graph, ValueId first, size_t adapter, NodeId head) {
  const std::string prefix = fmt::format("adapter{}/", adapter + 1);
  for (ValueId v = first; v < graph.num_values(); ++v)
    graph.value(v).name = prefix + graph.value(v).name;
  for (NodeId n = 0; n < graph.num_nodes(); ++n) {
    Node& node = graph.node(n);
    if (n != head && !node.outputs.empty() && node.outputs[0] >= first)
      node.name = prefix + node.name;
  }
}

// What earlier adapters hold must still have its part, and be theirs alone.
Status check_others(const Graph& graph, const std::vector<bool>& was_live,
                    const AdaptedGraph& earlier, const AdaptedGraph& now) {
  const std::vector<bool> live = live_values(graph);
  for (const AdapterTensor& t : earlier.tensors) {
    if (t.param == kNone) continue;
    const auto param = static_cast<size_t>(t.param);
    const bool shared =
        std::ranges::find(now.tensors, t.param, &AdapterTensor::param) !=
        now.tensors.end();
    if (shared || (was_live[param] && !live[param]))
      return usage_error(fmt::format(
          "it replaces what '{}' of adapter {} is for; give one of the two "
          "only, or adapt different layers",
          t.name, t.adapter + 1));
  }
  return ok_status();
}

Status apply_one(Graph& graph, const MethodSettings& settings, size_t index,
                 AdaptedGraph& adapted) {
  FT_TRY(const MethodDef* method, find_method(settings.method));
  FT_TRY_STATUS(check_weight(*method, settings.weight));
  const ValueId first = graph.num_values();
  const std::vector<bool> was_live = live_values(graph);
  AdaptedGraph now;
  FT_TRY_STATUS(method->apply(graph, settings, now));
  if (index > 0) rename_new(graph, first, index, now.head);
  FT_TRY_STATUS(check_others(graph, was_live, adapted, now));
  for (AdapterTensor& t : now.tensors) {
    t.adapter = index;
    adapted.tensors.push_back(std::move(t));
  }
  if (now.head != kNone) adapted.head = now.head;
  // Only the last adapter is trained.
  adapted.metadata = std::move(now.metadata);
  adapted.penalty = now.penalty;
  adapted.ranks = std::move(now.ranks);
  return ok_status();
}

std::string describe(size_t index, const MethodSettings& settings) {
  return fmt::format("adapter {} ({})", index + 1, settings.method);
}

// The base with these weights as float constants.
void put_back(Graph& graph, const std::vector<MergedModule>& modules) {
  const auto set = [&](const Node& node, size_t i,
                       const std::vector<float>& values) {
    if (values.empty() || node.inputs.size() <= i || node.inputs[i] == kNone)
      return;
    Value& value = graph.value(node.inputs[i]);
    Shape shape = value.type.shape;  // a new head has other rows
    const int64_t row = shape.num_elements() / std::max<int64_t>(shape[0], 1);
    if (shape.num_elements() != static_cast<int64_t>(values.size()))
      shape.set(0, static_cast<int64_t>(values.size()) / row);
    value.type = {.dtype = DType::kF32, .shape = shape, .quant = {}};
    value.data = graph.own(std::as_bytes(std::span(values)));
  };
  for (const MergedModule& m : modules)
    for (NodeId n = 0; n < graph.num_nodes(); ++n) {
      if (graph.node(n).name != m.module) continue;
      set(graph.node(n), 1, m.weight);
      set(graph.node(n), 2, m.bias);
      break;
    }
}

}  // namespace

Status apply_methods(Graph& graph, std::span<const MethodSettings> methods,
                     AdaptedGraph& adapted) {
  for (size_t i = 0; i < methods.size(); ++i) {
    if (methods[i].weight == 0) continue;
    Status status = apply_one(graph, methods[i], i, adapted);
    if (!status.ok() && methods.size() > 1)
      return status.in(describe(i, methods[i]));
    FT_TRY_STATUS(status);
  }
  return ok_status();
}

Result<std::vector<MergedModule>> merge_adapters(
    const Graph& base, std::span<const AdapterPart> adapters) {
  Graph graph = base.clone();
  std::map<std::string, MergedModule> merged;
  for (const AdapterPart& part : adapters) {
    if (part.method.weight == 0) continue;
    FT_TRY(const MethodDef* method, find_method(part.method.method));
    if (method->merge == nullptr)
      return usage_error(fmt::format(
          "an adapter of method {} cannot be merged: it adds what no weight of "
          "the base can hold; run the base with --adapter instead",
          method->name));
    FT_TRY_STATUS(check_weight(*method, part.method.weight));
    FT_TRY(auto modules, method->merge(graph, part.method, part.tensors));
    if (adapters.size() > 1) put_back(graph, modules);
    for (MergedModule& m : modules) {
      MergedModule& sum = merged[m.module];
      sum.module = m.module;
      if (!m.weight.empty()) sum.weight = std::move(m.weight);
      if (!m.bias.empty()) sum.bias = std::move(m.bias);
    }
  }
  if (merged.empty())
    return invalid_input("the adapter changes nothing of this model");
  std::vector<MergedModule> list;
  for (auto& [name, module] : merged) list.push_back(std::move(module));
  return list;
}

}  // namespace ft
