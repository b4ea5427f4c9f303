// BitFit: trains the biases of the chosen layers and nothing else.
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

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  bool any = false;
  FT_TRY_STATUS(
      rewrite_modules(graph, settings, [&](const AdaptableModule& m) -> Status {
        const ValueId bias = bias_of(graph, m);
        if (bias == kNone && !settings.target_modules.empty())
          return usage_error(
              fmt::format("method bitfit trains biases, but '{}' has none; "
                          "leave it out of --target-modules",
                          m.name));
        if (bias == kNone) return ok_status();
        any = true;
        return adapt(graph, m, bias, adapted);
      }));
  if (any) return ok_status();
  return usage_error("method bitfit: no layer of this model has a bias");
}

Result<std::vector<MergedModule>> merge(const Graph& base,
                                        const MethodSettings&,
                                        const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  for (const AdaptableModule& m : adaptable_modules(base)) {
    const auto bias = tensors.find(peft_key(m.name, "bias"));
    if (bias == tensors.end() || tensors.contains(peft_key(m.name, "weight")))
      continue;  // none, or a new head's
    if (bias->second.size() != static_cast<size_t>(m.rows))
      return invalid_input(
          fmt::format("adapter tensor '{}' has {} values, the layer {} outputs",
                      bias->first, bias->second.size(), m.rows));
    merged.push_back({m.name, {}, bias->second});
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
