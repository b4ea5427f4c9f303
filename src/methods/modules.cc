#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>

#include "methods/method.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

struct MatrixView {
  int64_t rows, columns;
};

// The weight as the matrix that a low-rank update is factored over.
MatrixView matrix_of(const OpDef* op, const Shape& w) {
  if (op == &ops::kDepthwiseConv2d) return {w[3], w[1] * w[2]};
  return {w[0], w.num_elements() / std::max<int64_t>(w[0], 1)};
}

ValueId behind_sums(const Graph& graph, ValueId w) {
  if (w == kNone || graph.value(w).producer == kNone) return w;
  const Node& node = graph.node(graph.value(w).producer);
  if (!node.attrs.has(kAdaptedWeight)) return w;
  return behind_sums(graph, node.inputs[1]);
}

bool is_adaptable(const Graph& graph, const Node& node) {
  if (node.op != &ops::kConv2d && node.op != &ops::kDepthwiseConv2d &&
      node.op != &ops::kFullyConnected && node.op != &ops::kLstm)
    return false;
  const ValueId w = behind_sums(graph, node.inputs[1]);
  return w != kNone && graph.value(w).kind == ValueKind::kConstant;
}

// The fully connected layers with the weight of node `n`: the steps of an
// unrolled recurrent layer.
std::vector<NodeId> layers_of_weight(const Graph& graph, const Node& node) {
  std::vector<NodeId> layers = graph.readers(node.inputs[1]);
  std::erase_if(layers, [&](NodeId n) {
    return graph.node(n).op != &ops::kFullyConnected ||
           graph.node(n).inputs[1] != node.inputs[1];
  });
  return layers;
}

}  // namespace

ValueId weight_of_base(const Graph& graph, NodeId layer) {
  return behind_sums(graph, graph.node(layer).inputs[1]);
}

std::vector<AdaptableModule> adaptable_modules(const Graph& graph) {
  std::vector<AdaptableModule> modules;
  for (NodeId n = 0; n < graph.num_nodes(); ++n) {
    const Node& node = graph.node(n);
    if (!is_adaptable(graph, node)) continue;
    std::string kind(node.op == &ops::kLstm ? kSharedWeight : node.op->name);
    if (node.op == &ops::kFullyConnected) {
      const std::vector<NodeId> layers = layers_of_weight(graph, node);
      if (layers[0] != n) continue;  // a module already, by its first layer
      if (layers.size() > 1) kind = kSharedWeight;
    }
    const Shape& w = graph.value(node.inputs[1]).type.shape;
    const MatrixView m = matrix_of(node.op, w);
    modules.push_back({.node = n,
                       .name = node.name,
                       .kind = std::move(kind),
                       .weight = w,
                       .rows = m.rows,
                       .columns = m.columns});
  }
  return modules;
}

bool matches_module(std::string_view pattern, std::string_view module) {
  if (pattern == "all-linear" || pattern == module) return true;
  if (module.size() > pattern.size() && module.ends_with(pattern)) {
    const char before = module[module.size() - pattern.size() - 1];
    if (before == '/' || before == '.') return true;
  }
  return ::fnmatch(std::string(pattern).c_str(), std::string(module).c_str(),
                   0) == 0;
}

Result<std::vector<size_t>> select_names(std::span<const std::string> names,
                                         const MethodSettings& settings) {
  const bool all = settings.target_modules.empty();
  std::vector<bool> chosen(names.size(), all);
  for (const std::string& pattern : settings.target_modules) {
    bool any = false;
    for (size_t i = 0; i < names.size(); ++i)
      if (matches_module(pattern, names[i])) any = chosen[i] = true;
    if (!any)
      return usage_error(
          fmt::format("target module '{}' matches nothing; the model has: {}",
                      pattern, fmt::join(names, ", ")));
  }
  std::vector<size_t> selected;
  for (size_t i = 0; i < names.size(); ++i)
    if (chosen[i]) selected.push_back(i);
  return selected;
}

Result<std::vector<AdaptableModule>> select_modules(
    const Graph& graph, const MethodSettings& settings) {
  const std::vector<AdaptableModule> all = adaptable_modules(graph);
  std::vector<std::string> names;
  for (const AdaptableModule& m : all) names.push_back(m.name);
  FT_TRY(const auto chosen, select_names(names, settings));
  std::vector<AdaptableModule> selected;
  for (const size_t i : chosen) selected.push_back(all[i]);
  return selected;
}

int effective_rank(const MethodSettings& settings,
                   const AdaptableModule& module) {
  const bool by_pattern =
      std::ranges::any_of(settings.rank_pattern, [&](const auto& entry) {
        return matches_module(entry.first, module.name);
      });
  const int rank = settings.rank_of(module.name);
  if (by_pattern || !settings.target_modules.empty()) return rank;
  return static_cast<int>(std::min<int64_t>(rank, module.max_rank()));
}

}  // namespace ft
