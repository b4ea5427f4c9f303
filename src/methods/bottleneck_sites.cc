#include "methods/bottleneck_sites.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

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

ValueId other_operand(const Graph& graph, NodeId sum, ValueId v) {
  const Node& node = graph.node(sum);
  return node.inputs[node.inputs[0] == v ? 1 : 0];
}

bool is_layer_norm(const Graph& graph, NodeId n) {
  return n != kNone && graph.node(n).op == &ops::kLayerNorm;
}

// The LayerNorm that ends a block of a post-norm transformer: it alone reads
// the sum, and what was added to the layer's output comes from such a norm too.
// The last norm of a pre-norm transformer stands behind a sum of sums.
NodeId post_norm(const Graph& graph, ValueId sum, ValueId residual) {
  const auto readers = graph.readers(sum);
  if (readers.size() != 1 || !is_layer_norm(graph, readers[0]) ||
      graph.node(readers[0]).inputs[0] != sum)
    return kNone;
  const NodeId before = graph.value(residual).producer;
  return is_layer_norm(graph, before) ? readers[0] : kNone;
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
                                       std::string_view variant) {
  if (m.kind == kSharedWeight)
    return usage_error(fmt::format(
        "method bottleneck is not defined on the recurrent weights '{}'; leave "
        "them out with --target-modules",
        m.name));
  const NodeId sum = residual_sum(graph, graph.node(m.node).outputs[0]);
  BottleneckSite site{
      .module = m.name,
      .value = behind_adapters(graph, graph.node(m.node).outputs[0]),
      .image = m.weight.rank() == 4};
  site.from = site.value;
  if (variant == "parallel_block") {
    if (sum == kNone)
      return usage_error(fmt::format(
          "a bottleneck adapter parallel to a block is not defined on '{}', "
          "which goes into no residual sum; leave it out with --target-modules "
          "or choose --variant parallel",
          m.name));
    site.from = other_operand(graph, sum, site.value);
    site.end = sum;
  } else if (variant == "pfeiffer" && sum != kNone) {
    const ValueId residual = other_operand(graph, sum, site.value);
    site.value = behind_adapters(graph, graph.node(sum).outputs[0]);
    site.from = site.value;
    site.norm = post_norm(graph, site.value, residual);
  }
  return site;
}

int64_t bottleneck_width(int64_t channels, double reduction_factor) {
  const auto whole = static_cast<double>(channels);
  const double rest = std::fmod(whole, reduction_factor);
  return std::max<int64_t>(1, std::llround((whole - rest) / reduction_factor));
}

int64_t count_layers(const Graph& graph) {
  int64_t count = 0;
  for (const AdaptableModule& m : adaptable_modules(graph))
    for (const std::string_view stack : {"layer.", "layers."}) {
      const size_t at = m.name.find(stack);
      if (at == std::string::npos) continue;
      const char* from = m.name.data() + at + stack.size();
      const char* end = m.name.data() + m.name.size();
      int32_t index = 0;
      const auto [stop, error] = std::from_chars(from, end, index);
      if (error == std::errc() && stop < end && *stop == '.' && index >= 0)
        count = std::max<int64_t>(count, int64_t{index} + 1);
    }
  return count;
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
