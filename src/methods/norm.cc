// Norm tuning: trains the gains and shifts of the normalization layers
// (LayerNorm and RMSNorm) and nothing else.
//
// Source: Zhao et al., "Tuning LayerNorm in Attention: Towards Efficient
// Multi-Modal LLM Finetuning", 2023. Tensors are whole vectors,
// `<module>.ln_tuning_layers.weight` and `.bias` [features], as PEFT's
// LN_TUNING saves them. --target-modules chooses among normalization layers.
// Convolutional nets in .tflite files have none: their batch normalization is
// folded into the layers beside it.
#include "methods/norm.h"

#include <fmt/format.h>

#include "ir/real_values.h"
#include "methods/head.h"
#include "methods/rewrite.h"
#include "ops/all_ops.h"

namespace ft {

bool has_vector(const Graph& graph, const NormLayer& layer, size_t i) {
  const std::vector<ValueId>& inputs = graph.node(layer.node).inputs;
  return i < inputs.size() && inputs[i] != kNone &&
         graph.value(inputs[i]).kind == ValueKind::kConstant;
}

std::vector<NormLayer> norm_layers(const Graph& graph) {
  std::vector<NormLayer> found;
  for (NodeId n = 0; n < graph.num_nodes(); ++n) {
    NormLayer layer{n, graph.node(n).name};
    if (graph.node(n).op == &ops::kLayerNorm &&
        !graph.node(n).attrs.has(kNormOfAdapter) &&
        (has_vector(graph, layer, 1) || has_vector(graph, layer, 2)))
      found.push_back(std::move(layer));
  }
  return found;
}

namespace {

constexpr std::string_view kKeys[] = {"ln_tuning_layers.weight",
                                      "ln_tuning_layers.bias"};

// A value of its own: two layers may share the one in the file.
void make_trainable(Graph& graph, const NormLayer& norm,
                    AdaptedGraph& adapted) {
  for (size_t i = 1; i <= 2; ++i) {
    if (!has_vector(graph, norm, i)) continue;
    const ValueId old = graph.node(norm.node).inputs[i];
    const Shape shape = graph.value(old).type.shape;
    AdapterTensor t{
        .name = peft_key(norm.name, kKeys[i - 1]), .view = shape, .perm = {0}};
    t.param = graph.add_owned(ValueKind::kParam, t.name, real_type(shape),
                              real_values(graph.value(old)));
    set_input(graph, norm.node, i, t.param);
    adapted.tensors.push_back(std::move(t));
  }
}

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  const std::vector<NormLayer> all = norm_layers(graph);
  if (all.empty())
    return usage_error(
        "method norm: this model has no normalization layer (a .tflite file "
        "holds them folded into their neighbours); bitfit trains the biases "
        "that they became");
  std::vector<std::string> names;
  for (const NormLayer& norm : all) names.push_back(norm.name);
  FT_TRY(const auto chosen, select_names(names, settings));
  for (const size_t i : chosen) make_trainable(graph, all[i], adapted);
  return ok_status();
}

Result<std::vector<MergedModule>> merge(const Graph& base,
                                        const MethodSettings&,
                                        const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  for (const NormLayer& norm : norm_layers(base)) {
    MergedModule m{norm.name, {}, {}};
    for (size_t i = 1; i <= 2; ++i) {
      const auto at = tensors.find(peft_key(norm.name, kKeys[i - 1]));
      if (at == tensors.end()) continue;
      if (!has_vector(base, norm, i))
        return invalid_input(fmt::format(
            "adapter tensor '{}' has no place in '{}'", at->first, norm.name));
      (i == 1 ? m.weight : m.bias) = at->second;
    }
    if (!m.weight.empty() || !m.bias.empty()) merged.push_back(std::move(m));
  }
  merge_head(base, tensors, merged);
  return merged;
}

}  // namespace

extern const MethodDef kNorm;
constinit const MethodDef kNorm = {
    .name = "norm",
    .summary = "gains and shifts of the normalization layers only",
    .apply = apply,
    .merge = merge};

}  // namespace ft
