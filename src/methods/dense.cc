// The two baselines: `head` trains the last linear layer only, `full` trains
// every weight and bias of the model (float precision).
#include <fmt/format.h>

#include "ir/real_values.h"
#include "methods/head.h"
#include "methods/method.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

// PEFT stores convolutions as [out, in, kh, kw], a depthwise one as
// [c, 1, kh, kw].
std::vector<int> weight_perm(const AdaptableModule& m) {
  if (m.kind == "depthwise_conv2d") return {3, 0, 1, 2};
  if (m.weight.rank() == 4) return {0, 3, 1, 2};
  return {0, 1};
}

// Without a new head the old one is trained from its own weights.
Status apply_head(Graph& graph, const MethodSettings& settings,
                  AdaptedGraph& adapted) {
  if (settings.num_classes > 0) return maybe_new_head(graph, settings, adapted);
  const HeadSite site = find_head(graph);
  if (site.head == kNone || graph.node(site.head).op != &ops::kFullyConnected)
    return invalid_input(
        "method head: the model does not end in a fully connected layer");
  const Node& head = graph.node(site.head);
  const Value& w = graph.value(head.inputs[1]);
  std::vector<float> bias;
  if (head.inputs.size() > 2 && head.inputs[2] != kNone)
    bias = real_values(graph.value(head.inputs[2]));
  return replace_head(graph, static_cast<int>(w.type.shape[0]), settings.seed,
                      real_values(w), std::move(bias), adapted);
}

Result<std::vector<MergedModule>> merge_head_only(const Graph& base,
                                                  const MethodSettings&,
                                                  const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  merge_head(base, tensors, merged);
  return merged;
}

void make_param(Graph& graph, ValueId id, const std::string& name,
                const Shape& view, std::vector<int> perm,
                AdaptedGraph& adapted) {
  graph.value(id).kind = ValueKind::kParam;
  graph.value(id).name = name;
  adapted.tensors.push_back(
      {.name = name, .param = id, .view = view, .perm = std::move(perm)});
}

Status apply_full(Graph& graph, const MethodSettings& settings,
                  AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  FT_TRY(const auto modules, select_modules(graph, settings));
  for (const AdaptableModule& m : modules) {
    const Node& node = graph.node(m.node);
    const Value& w = graph.value(node.inputs[1]);
    if (w.type.dtype != DType::kF32)
      return usage_error(fmt::format(
          "method full trains float weights, but '{}' is {}; use --precision "
          "f32",
          m.name, name_of(w.type.dtype)));
    const Shape view = m.weight;
    make_param(graph, node.inputs[1], peft_key(m.name, "weight"), view,
               weight_perm(m), adapted);
    if (node.inputs.size() > 2 && node.inputs[2] != kNone)
      make_param(graph, node.inputs[2], peft_key(m.name, "bias"),
                 graph.value(node.inputs[2]).type.shape, {0}, adapted);
  }
  return ok_status();
}

Result<std::vector<MergedModule>> merge_full(const Graph& base,
                                             const MethodSettings&,
                                             const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  for (const AdaptableModule& m : adaptable_modules(base)) {
    const auto weight = tensors.find(peft_key(m.name, "weight"));
    if (weight == tensors.end() || m.node == find_head(base).head) continue;
    const AdapterTensor layout{
        .name = weight->first, .view = m.weight, .perm = weight_perm(m)};
    const auto bias = tensors.find(peft_key(m.name, "bias"));
    merged.push_back(
        {m.name, from_file_layout(layout, weight->second),
         bias == tensors.end() ? std::vector<float>{} : bias->second});
  }
  merge_head(base, tensors, merged);
  return merged;
}

}  // namespace

extern const MethodDef kHead, kFull;
constinit const MethodDef kHead = {.name = "head",
                                   .summary = "the last linear layer only",
                                   .apply = apply_head,
                                   .merge = merge_head_only};
constinit const MethodDef kFull = {
    .name = "full",
    .summary = "every weight and bias (float precision)",
    .apply = apply_full,
    .merge = merge_full};

}  // namespace ft
