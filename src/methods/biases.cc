#include "methods/biases.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/real_values.h"
#include "methods/low_rank.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

// Ones [..., 1] for outputs of `shape` [..., out]: beside lora_b [out, 1] they
// add lora_b to every row.
ValueId ones(Graph& graph, Shape shape) {
  shape.set(shape.rank() - 1, 1);
  const std::string name = "bias/ones" + shape.to_string();
  const ValueId known = graph.find_value(name);
  if (known != kNone) return known;
  const std::vector<float> values(static_cast<size_t>(shape.num_elements()),
                                  1.0f);
  return graph.add_owned(ValueKind::kConstant, name, real_type(shape), values);
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
  const ValueId h = ones(graph, graph.value(y).type.shape);
  FT_TRY_STATUS(join_side(graph, m.node, h, delta, 1));
  return delta;
}

// The layers that read the module's weight: the steps of an unrolled recurrent
// layer, or the layer itself.
std::vector<NodeId> readers_of_module(const Graph& graph,
                                      const AdaptableModule& m) {
  if (m.kind != kSharedWeight) return {m.node};
  const ValueId w = graph.node(m.node).inputs[1];
  std::vector<NodeId> layers = graph.readers(w);
  std::erase_if(layers, [&](NodeId n) { return graph.node(n).inputs[1] != w; });
  return layers;
}

Status check_no_gain(const Graph& graph, const AdaptableModule& m) {
  const Node& node = graph.node(m.node);
  if (node.inputs.size() <= 5 || node.inputs[5] == kNone) return ok_status();
  return usage_error(fmt::format(
      "the bias of the int8 layer '{}' cannot be trained beside an adapter "
      "that scales it (use_dora); use --precision f32",
      m.name));
}

Status adapt_linear(Graph& graph, const AdaptableModule& m,
                    AdaptedGraph& adapted) {
  const ValueId bias = bias_of(graph, m);
  AdapterTensor t{
      .name = peft_key(m.name, "bias"), .view = {m.rows}, .perm = {0}};
  const ValueId y = graph.node(m.node).outputs[0];
  if (graph.value(y).type.dtype == DType::kS8) {
    FT_TRY_STATUS(check_no_gain(graph, m));
    FT_TRY(t.param, add_difference(graph, m));
    t.offset = real_values(graph.value(bias));
  } else {
    // A value of its own: two layers may share the one in the file.
    t.param =
        graph.add_owned(ValueKind::kParam, m.name + "/bias",
                        real_type({m.rows}), real_values(graph.value(bias)));
    for (const NodeId n : readers_of_module(graph, m))
      set_input(graph, n, 2, t.param);
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

std::vector<NormLayer> norms_with_bias(const Graph& graph) {
  std::vector<NormLayer> norms = norm_layers(graph);
  std::erase_if(norms, [&](const NormLayer& norm) {
    return !has_vector(graph, norm, 2);
  });
  return norms;
}

Status check_size(const std::string& name, const std::vector<float>& bias,
                  int64_t features) {
  if (bias.size() == static_cast<size_t>(features)) return ok_status();
  return invalid_input(
      fmt::format("adapter tensor '{}' has {} values, the layer {} outputs",
                  name, bias.size(), features));
}

}  // namespace

constinit const SettingDef kBias = {
    .name = "bias",
    .kind = SettingDef::Kind::kWord,
    .summary =
        "biases trained beside the update: of all layers, or of those "
        "with an update",
    .preset = "none",
    .words = "none all lora_only"};

ValueId bias_of(const Graph& graph, const AdaptableModule& m) {
  const auto bias = [&](NodeId n) {
    const Node& node = graph.node(n);
    return node.inputs.size() > 2 ? node.inputs[2] : kNone;
  };
  if (m.kind != kSharedWeight) return bias(m.node);
  const TensorType& y = graph.value(graph.node(m.node).outputs[0]).type;
  if (graph.node(m.node).op == &ops::kLstm || y.dtype != DType::kF32)
    return kNone;
  for (const NodeId n : readers_of_module(graph, m))
    if (bias(n) != bias(m.node)) return kNone;
  return bias(m.node);
}

BiasLayers layers_with_bias(const Graph& graph) {
  BiasLayers layers{adaptable_modules(graph), norms_with_bias(graph)};
  std::erase_if(layers.linear, [&](const AdaptableModule& m) {
    return bias_of(graph, m) == kNone;
  });
  return layers;
}

Status train_biases(Graph& graph, const BiasLayers& layers,
                    AdaptedGraph& adapted) {
  for (const NormLayer& norm : layers.norms) adapt_norm(graph, norm, adapted);
  return rewrite_modules(graph, layers.linear, [&](const AdaptableModule& m) {
    return adapt_linear(graph, m, adapted);
  });
}

Status train_biases_beside(Graph& graph, const MethodSettings& settings,
                           AdaptedGraph& adapted) {
  const std::string which = settings.word(kBias);
  if (which == "none") return ok_status();
  if (settings.weight != 1)
    return usage_error("bias takes no weight but 0 and 1");
  BiasLayers layers = layers_with_bias(graph);
  if (which == "lora_only") {
    layers.norms.clear();
    std::erase_if(layers.linear, [&](const AdaptableModule& m) {
      return std::ranges::none_of(adapted.tensors, [&](const auto& t) {
        return t.name.starts_with(peft_key(m.name, "lora_"));
      });
    });
  }
  return train_biases(graph, layers, adapted);
}

Status merge_biases(const Graph& base, const TensorMap& tensors,
                    std::vector<MergedModule>& merged) {
  const auto add = [&](const std::string& module, int64_t features) -> Status {
    const auto bias = tensors.find(peft_key(module, "bias"));
    if (bias == tensors.end() || tensors.contains(peft_key(module, "weight")))
      return ok_status();  // none, or a new head's
    FT_TRY_STATUS(check_size(bias->first, bias->second, features));
    const auto known = std::ranges::find(merged, module, &MergedModule::module);
    if (known == merged.end())
      merged.push_back({module, {}, bias->second});
    else
      known->bias = bias->second;
    return ok_status();
  };
  const BiasLayers layers = layers_with_bias(base);
  for (const AdaptableModule& m : layers.linear)
    FT_TRY_STATUS(add(m.name, m.rows));
  for (const NormLayer& norm : layers.norms) {
    const ValueId bias = base.node(norm.node).inputs[2];
    FT_TRY_STATUS(add(norm.name, base.value(bias).type.shape[0]));
  }
  return ok_status();
}

}  // namespace ft
