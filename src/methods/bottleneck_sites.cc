#include "methods/bottleneck_sites.h"

#include <fmt/format.h>

#include <algorithm>

#include "methods/head.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

// What stands behind `v` once the adapters inserted there have had their turn.
ValueId behind_adapters(const Graph& graph, ValueId v) {
  for (const NodeId n : graph.readers(v))
    if (graph.node(n).op == &ops::kResidualAdd && graph.node(n).inputs[0] == v)
      return behind_adapters(graph, graph.node(n).outputs[0]);
  return v;
}

// The residual sum that `v` goes into and nothing else does: of two activations
// of one shape. kNone: there is none.
NodeId residual_sum(const Graph& graph, ValueId v) {
  v = behind_adapters(graph, v);
  const auto readers = graph.readers(v);
  if (readers.size() != 1) return kNone;
  const Node& node = graph.node(readers[0]);
  if (node.op != &ops::kBinary || node.attrs.get_word("kind") != "add")
    return kNone;
  for (const ValueId in : node.inputs)
    if (graph.value(in).kind == ValueKind::kConstant ||
        graph.value(in).type.shape != graph.value(v).type.shape)
      return kNone;
  return readers[0];
}

// True if an attention (whole, or its product or softmax) lies between the
// module and the layers before it: its input is what an attention gives.
bool ends_attention(const Graph& graph, const AdaptableModule& m) {
  std::vector<ValueId> open{graph.node(m.node).inputs[0]};
  std::vector<bool> seen(static_cast<size_t>(graph.num_values()), false);
  while (!open.empty()) {
    const ValueId v = open.back();
    open.pop_back();
    if (v == kNone || seen[static_cast<size_t>(v)]) continue;
    seen[static_cast<size_t>(v)] = true;
    const NodeId n = graph.value(v).producer;
    if (n == kNone) continue;
    const Node& node = graph.node(n);
    if (node.op == &ops::kMatmul || node.op == &ops::kSoftmax ||
        node.op == &ops::kAttention)
      return true;
    const bool is_layer =
        node.inputs.size() > 1 && node.inputs[1] != kNone &&
        graph.value(node.inputs[1]).type.shape.rank() > 1 &&
        graph.value(node.inputs[1]).kind == ValueKind::kConstant;
    if (!is_layer)
      open.insert(open.end(), node.inputs.begin(), node.inputs.end());
  }
  return false;
}

bool is_pointwise(const AdaptableModule& m) {
  return m.kind == "conv2d" && m.weight[1] == 1 && m.weight[2] == 1;
}

template <class Wanted>
std::vector<AdaptableModule> those(const std::vector<AdaptableModule>& modules,
                                   Wanted&& wanted) {
  std::vector<AdaptableModule> kept;
  std::ranges::copy_if(modules, std::back_inserter(kept), wanted);
  return kept;
}

std::vector<AdaptableModule> block_ends(const Graph& graph,
                                        std::string_view variant) {
  const HeadSite head = find_head(graph);
  const auto layers =
      those(adaptable_modules(graph), [&](const AdaptableModule& m) {
        return m.node != head.head && m.kind != kSharedWeight &&
               (variant != "parallel" || m.kind != "depthwise_conv2d");
      });
  auto ends = those(layers, [&](const AdaptableModule& m) {
    return residual_sum(graph, graph.node(m.node).outputs[0]) != kNone &&
           (variant == "houlsby" || !ends_attention(graph, m));
  });
  if (ends.empty()) ends = those(layers, is_pointwise);
  if (ends.empty())
    ends = those(layers, [](const auto& m) { return m.kind == "conv2d"; });
  return ends.empty() ? layers : ends;
}

}  // namespace

Result<std::vector<AdaptableModule>> bottleneck_modules(
    const Graph& graph, const MethodSettings& settings,
    std::string_view variant) {
  if (!settings.target_modules.empty()) return select_modules(graph, settings);
  auto modules = block_ends(graph, variant);
  if (modules.empty())
    return usage_error(
        "method bottleneck: the model has no layer but its head; name one with "
        "--target-modules");
  return modules;
}

Result<BottleneckSite> bottleneck_site(const Graph& graph,
                                       const AdaptableModule& m,
                                       bool behind_sum) {
  if (m.kind == kSharedWeight)
    return usage_error(fmt::format(
        "method bottleneck is not defined on the recurrent weights '{}'; leave "
        "them out with --target-modules",
        m.name));
  BottleneckSite site{
      .module = m.name,
      .value = behind_adapters(graph, graph.node(m.node).outputs[0]),
      .image = m.weight.rank() == 4};
  if (const NodeId sum = residual_sum(graph, site.value);
      behind_sum && sum != kNone)
    site.value = behind_adapters(graph, graph.node(sum).outputs[0]);
  return site;
}

Status check_parallel(const Graph& graph, const AdaptableModule& m) {
  const Shape& x = graph.value(graph.node(m.node).inputs[0]).type.shape;
  const bool grouped = m.kind == "conv2d" && x.back() != m.weight[3];
  if (m.kind == "fully_connected" || (m.kind == "conv2d" && !grouped))
    return ok_status();
  return usage_error(fmt::format(
      "a parallel bottleneck adapter is not defined on '{}' ({}{}); leave it "
      "out with --target-modules or choose --variant houlsby",
      m.name, grouped ? "grouped " : "", m.kind));
}

}  // namespace ft
