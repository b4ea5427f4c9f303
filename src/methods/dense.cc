// The two baselines: `head` trains the last linear layer only, `full` trains
// every weight and bias of the model. Files hold whole weights and biases, also
// those of int8 layers, of which the graph holds and trains the difference from
// the base; merged, they are quantized like any other.
#include <fmt/format.h>

#include <algorithm>

#include "ir/real_values.h"
#include "methods/head.h"
#include "methods/low_rank.h"
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

// Whole weights replace what an earlier adapter made of the layer's.
Status check_untouched(const Graph& graph, const AdaptableModule& m) {
  const Node& node = graph.node(m.node);
  const bool beside = std::ranges::any_of(
      node.inputs.begin() +
          std::min<std::ptrdiff_t>(std::ssize(node.inputs), 3),
      node.inputs.end(), [](ValueId v) { return v != kNone; });
  if (!beside && graph.value(node.inputs[1]).producer == kNone)
    return check_unscaled(graph, m.node);
  return usage_error(fmt::format(
      "an earlier adapter changes '{}', which method full trains as a whole; "
      "leave it out of one of the two with --target-modules",
      m.name));
}

// A float layer trains its own weight and bias.
void train_in_place(Graph& graph, const AdaptableModule& m,
                    AdaptedGraph& adapted) {
  const Node& node = graph.node(m.node);
  make_param(graph, node.inputs[1], peft_key(m.name, "weight"), m.weight,
             weight_perm(m), adapted);
  if (node.inputs.size() > 2 && node.inputs[2] != kNone)
    make_param(graph, node.inputs[2], peft_key(m.name, "bias"),
               graph.value(node.inputs[2]).type.shape, {0}, adapted);
}

// Zeros of `shape`, which files hold as the sum with `base`.
ValueId add_difference(Graph& graph, const AdaptableModule& m, const char* what,
                       const Shape& shape, std::vector<int> perm,
                       const std::vector<float>& base, AdaptedGraph& adapted) {
  AdapterTensor t{
      .name = peft_key(m.name, what), .view = shape, .perm = std::move(perm)};
  t.offset = to_file_layout(t, base);
  t.param =
      graph.add_owned(ValueKind::kParam, m.name + "/" + what + "_delta",
                      real_type(shape), std::vector<float>(base.size(), 0.0f));
  const ValueId id = t.param;
  adapted.tensors.push_back(std::move(t));
  return id;
}

// Beside lora_b = I a layer adds h itself.
ValueId identity(Graph& graph, int64_t n) {
  const std::string name = fmt::format("full/identity{}", n);
  const ValueId known = graph.find_value(name);
  if (known != kNone) return known;
  std::vector<float> values(static_cast<size_t>(n * n), 0.0f);
  for (int64_t i = 0; i < n; ++i) values[static_cast<size_t>(i * n + i)] = 1;
  return graph.add_owned(ValueKind::kConstant, name, real_type({n, n}), values);
}

// An int8 layer stays as deployed and adds dW x + db where it accumulates: a
// difference of 0 is the base, bit for bit, and one far below a step of the
// int8 weights is not lost.
Status train_beside(Graph& graph, const AdaptableModule& m,
                    AdaptedGraph& adapted) {
  FT_TRY_STATUS(check_shared_is_float(graph, m, "full"));
  const Node node = graph.node(m.node);
  const ValueId weight =
      add_difference(graph, m, "weight", m.weight, weight_perm(m),
                     base_weight(graph, m), adapted);
  ValueId bias = kNone;
  if (node.inputs.size() > 2 && node.inputs[2] != kNone)
    bias = add_difference(graph, m, "bias", {m.rows}, {0},
                          real_values(graph.value(node.inputs[2])), adapted);
  if (m.kind == "depthwise_conv2d") {
    if (bias != kNone) set_input(graph, m.node, 4, bias);
    return add_weight_delta(graph, m.node, weight);
  }
  FT_TRY(const ValueId h, append_side(graph, m, weight, false, bias));
  return join_side(graph, m.node, h, identity(graph, m.rows), 1);
}

Status apply_full(Graph& graph, const MethodSettings& settings,
                  AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  return rewrite_modules(
      graph, settings, [&](const AdaptableModule& m) -> Status {
        FT_TRY_STATUS(check_untouched(graph, m));
        const Node& node = graph.node(m.node);
        if (graph.value(node.inputs[1]).type.dtype != DType::kF32)
          return train_beside(graph, m, adapted);
        train_in_place(graph, m, adapted);
        return ok_status();
      });
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
constinit const MethodDef kFull = {.name = "full",
                                   .summary = "every weight and bias",
                                   .apply = apply_full,
                                   .merge = merge_full};

}  // namespace ft
