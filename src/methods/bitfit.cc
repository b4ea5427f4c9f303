// BitFit: trains the biases of the chosen layers, linear and LayerNorm, and
// nothing else.
//
// Source: Ben Zaken et al., "BitFit: Simple Parameter-efficient Fine-tuning for
// Transformer-based Masked Language-models", 2022. Tensors are whole biases,
// `<module>.bias` [out], as PEFT saves them with bias="all" (biases.h).
#include <fmt/format.h>

#include "methods/biases.h"
#include "methods/head.h"
#include "methods/rewrite.h"

namespace ft {
namespace {

// The layers that were named, which must have a bias, or all that have one.
Result<BiasLayers> choose(const Graph& graph, const MethodSettings& settings) {
  BiasLayers with_bias = layers_with_bias(graph);
  if (settings.target_modules.empty()) return with_bias;
  std::vector<std::string> names;
  const std::vector<AdaptableModule> linear = adaptable_modules(graph);
  for (const AdaptableModule& m : linear) names.push_back(m.name);
  for (const NormLayer& norm : with_bias.norms) names.push_back(norm.name);
  FT_TRY(const auto chosen, select_names(names, settings));
  BiasLayers some;
  for (const size_t i : chosen) {
    if (i >= linear.size())
      some.norms.push_back(with_bias.norms[i - linear.size()]);
    else if (bias_of(graph, linear[i]) != kNone)
      some.linear.push_back(linear[i]);
    else
      return usage_error(
          fmt::format("method bitfit trains biases, but '{}' has none; leave "
                      "it out of --target-modules",
                      linear[i].name));
  }
  return some;
}

// A layer that LoRA could be put on, which PEFT needs beside biases.
void note_target(const Graph& graph, AdaptedGraph& adapted) {
  for (const AdaptableModule& m : adaptable_modules(graph))
    if (m.kind == "fully_connected" || m.kind == "conv2d")
      adapted.metadata.emplace(kPeftTarget, m.name);
}

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  FT_TRY(const BiasLayers layers, choose(graph, settings));
  note_target(graph, adapted);
  if (layers.empty())
    return usage_error("method bitfit: no layer of this model has a bias");
  for (const AdaptableModule& m : layers.linear)
    FT_TRY_STATUS(check_unscaled(graph, m.node));
  return train_biases(graph, layers, adapted);
}

Result<std::vector<MergedModule>> merge(const Graph& base,
                                        const MethodSettings&,
                                        const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  FT_TRY_STATUS(merge_biases(base, tensors, merged));
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
