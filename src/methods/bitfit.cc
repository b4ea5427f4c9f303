// BitFit: trains the biases of the chosen layers, linear and LayerNorm, and
// nothing else.
//
// Source: Ben Zaken et al., "BitFit: Simple Parameter-efficient Fine-tuning for
// Transformer-based Masked Language-models", 2022. Tensors are whole biases,
// `<module>.bias` [out], as PEFT saves them with bias="all". A float layer
// trains the bias itself. An int8 layer keeps its int32 bias, and the graph
// holds the float difference, which the layer rounds to the unit of its
// accumulator: a difference of 0 is the deployed layer, bit for bit. Layers
// without a bias have nothing to train.
#include <fmt/format.h>

#include <algorithm>

#include "ir/real_values.h"
#include "methods/head.h"
#include "methods/low_rank.h"
#include "methods/norm.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

ValueId bias_of(const Graph& graph, const AdaptableModule& m) {
  const Node& node = graph.node(m.node);
  if (m.kind == kSharedWeight || node.inputs.size() < 3) return kNone;
  return node.inputs[2];
}

// Ones [rows, 1]: beside lora_b [out, 1] they add lora_b to every row.
ValueId ones(Graph& graph, int64_t rows) {
  const std::string name = fmt::format("bitfit/ones{}", rows);
  const ValueId known = graph.find_value(name);
  if (known != kNone) return known;
  return graph.add_owned(ValueKind::kConstant, name, real_type({rows, 1}),
                         std::vector<float>(static_cast<size_t>(rows), 1.0f));
}

// The difference that an int8 layer adds to its bias.
Result<ValueId> add_difference(Graph& graph, const AdaptableModule& m) {
  const bool depthwise = m.kind == "depthwise_conv2d";
  const std::vector<float> zeros(static_cast<size_t>(m.rows), 0.0f);
  const ValueId delta = graph.add_owned(
      ValueKind::kParam, m.name + "/bias_delta",
      real_type(depthwise ? Shape{m.rows} : Shape{m.rows, 1}), zeros);
  if (depthwise) {
    set_input(graph, m.node, 4, delta);
    return delta;
  }
  const ValueId y = graph.node(m.node).outputs[0];
  const Shape shape = graph.value(y).type.shape;
  FT_TRY_STATUS(join_side(
      graph, m.node, ones(graph, shape.num_elements() / m.rows), delta, 1));
  return delta;
}

Status adapt(Graph& graph, const AdaptableModule& m, ValueId bias,
             AdaptedGraph& adapted) {
  AdapterTensor t{
      .name = peft_key(m.name, "bias"), .view = {m.rows}, .perm = {0}};
  FT_TRY_STATUS(check_unscaled(graph, m.node));
  const ValueId y = graph.node(m.node).outputs[0];
  if (graph.value(y).type.dtype == DType::kS8) {
    FT_TRY(t.param, add_difference(graph, m));
    t.offset = real_values(graph.value(bias));
  } else {
    // A value of its own: two layers may share the one in the file.
    t.param =
        graph.add_owned(ValueKind::kParam, m.name + "/bias",
                        real_type({m.rows}), real_values(graph.value(bias)));
    set_input(graph, m.node, 2, t.param);
  }
  adapted.tensors.push_back(std::move(t));
  return ok_status();
}

// A layer with a bias that stays in real numbers, which is input 2.
void adapt_norm(Graph& graph, const NormLayer& norm, AdaptedGraph& adapted) {
  const Value& old = graph.value(graph.node(norm.node).inputs[2]);
  const Shape shape = old.type.shape;
  AdapterTensor t{
      .name = peft_key(norm.name, "bias"), .view = shape, .perm = {0}};
  t.param = graph.add_owned(ValueKind::kParam, norm.name + "/bias",
                            real_type(shape), real_values(old));
  set_input(graph, norm.node, 2, t.param);
  adapted.tensors.push_back(std::move(t));
}

// What can be chosen: linear layers and LayerNorms with a bias.
struct Layers {
  std::vector<AdaptableModule> linear;
  std::vector<NormLayer> norms;
};

std::vector<NormLayer> norms_with_bias(const Graph& graph) {
  std::vector<NormLayer> norms = norm_layers(graph);
  std::erase_if(norms, [&](const NormLayer& norm) {
    return !has_vector(graph, norm, 2);
  });
  return norms;
}

Result<Layers> choose(const Graph& graph, const MethodSettings& settings) {
  const Layers all{adaptable_modules(graph), norms_with_bias(graph)};
  std::vector<std::string> names;
  for (const AdaptableModule& m : all.linear) names.push_back(m.name);
  for (const NormLayer& norm : all.norms) names.push_back(norm.name);
  FT_TRY(const auto chosen, select_names(names, settings));
  Layers some;
  for (const size_t i : chosen) {
    if (i >= all.linear.size()) {
      some.norms.push_back(all.norms[i - all.linear.size()]);
      continue;
    }
    const AdaptableModule& m = all.linear[i];
    if (bias_of(graph, m) != kNone)
      some.linear.push_back(m);
    else if (!settings.target_modules.empty())
      return usage_error(
          fmt::format("method bitfit trains biases, but '{}' has none; leave "
                      "it out of --target-modules",
                      m.name));
  }
  return some;
}

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  FT_TRY(const Layers layers, choose(graph, settings));
  for (const AdaptableModule& m : adaptable_modules(graph))
    if (m.kind == "fully_connected" || m.kind == "conv2d")
      adapted.metadata.emplace(kPeftTarget, m.name);
  if (layers.linear.empty() && layers.norms.empty())
    return usage_error("method bitfit: no layer of this model has a bias");
  for (const NormLayer& norm : layers.norms) adapt_norm(graph, norm, adapted);
  return rewrite_modules(graph, layers.linear, [&](const AdaptableModule& m) {
    return adapt(graph, m, bias_of(graph, m), adapted);
  });
}

Status check_size(const std::string& name, const std::vector<float>& bias,
                  int64_t features) {
  if (bias.size() == static_cast<size_t>(features)) return ok_status();
  return invalid_input(
      fmt::format("adapter tensor '{}' has {} values, the layer {} outputs",
                  name, bias.size(), features));
}

Result<std::vector<MergedModule>> merge(const Graph& base,
                                        const MethodSettings&,
                                        const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  const auto add = [&](const std::string& module, int64_t features) -> Status {
    const auto bias = tensors.find(peft_key(module, "bias"));
    if (bias == tensors.end() || tensors.contains(peft_key(module, "weight")))
      return ok_status();  // none, or a new head's
    merged.push_back({module, {}, bias->second});
    return check_size(bias->first, bias->second, features);
  };
  for (const AdaptableModule& m : adaptable_modules(base))
    FT_TRY_STATUS(add(m.name, m.rows));
  for (const NormLayer& norm : norms_with_bias(base)) {
    const ValueId bias = base.node(norm.node).inputs[2];
    FT_TRY_STATUS(add(norm.name, base.value(bias).type.shape[0]));
  }
  merge_head(base, tensors, merged);
  return merged;
}

}  // namespace

extern const MethodDef kBitfit;
constinit const MethodDef kBitfit = {.name = "bitfit",
                                     .summary = "the biases only",
                                     .apply = apply,
                                     .merge = merge};

}  // namespace ft
