// Prefix tuning: trained keys and values in front of those of every attention.
//
// Source: Li and Liang, "Prefix-Tuning: Optimizing Continuous Prompts for
// Generation", 2021, without the projection that may train it. One tensor,
// `prompt_embeddings` [num_virtual_tokens, layers * 2 * features], of each
// layer the keys and then the values, in heads, as PEFT's past_key_values: the
// keys are used as they are (they have their rotation already), and the
// positions of the model's own tokens begin behind the prefix.
#include <fmt/format.h>

#include "base/random.h"
#include "methods/head.h"
#include "methods/rewrite.h"
#include "methods/virtual_tokens.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

constexpr SettingDef kInitWeights{
    .name = "init_weights",
    .kind = SettingDef::Kind::kWord,
    .summary = "random or zero keys and values to start from",
    .preset = "random",
    .words = "random zero"};
constexpr const SettingDef* kSettings[] = {&kNumVirtualTokens, &kInitWeights};

// Columns of the keys, the same in all layers.
Result<int64_t> key_width(const Graph& graph) {
  const std::vector<NodeId> layers = attentions(graph);
  if (layers.empty())
    return usage_error("method prefix: this model has no attention");
  const auto width = [&](NodeId n) {
    return graph.value(graph.node(n).inputs[1]).type.shape[1];
  };
  for (const NodeId n : layers)
    if (width(n) != width(layers[0]))
      return usage_error(
          fmt::format("method prefix: '{}' has keys of {} columns, '{}' of {}",
                      graph.node(n).name, width(n), graph.node(layers[0]).name,
                      width(layers[0])));
  return width(layers[0]);
}

ValueId add_prefix(Graph& graph, const MethodSettings& settings,
                   const Shape& shape, AdaptedGraph& adapted) {
  std::vector<float> values(static_cast<size_t>(shape.num_elements()), 0.0f);
  const Random random(settings.seed, kPromptEmbeddings);
  if (settings.word(kInitWeights) == "random")
    for (size_t i = 0; i < values.size(); ++i) values[i] = random.normal(i);
  AdapterTensor t{
      .name = std::string(kPromptEmbeddings), .view = shape, .perm = {0, 1}};
  t.param =
      graph.add_owned(ValueKind::kParam, t.name, real_type(shape), values);
  adapted.tensors.push_back(t);
  return t.param;
}

// The keys and values of every layer, [n, width] each.
Result<std::vector<ValueId>> split_layers(Graph& graph, ValueId prefix,
                                          int64_t width) {
  const Shape shape = graph.value(prefix).type.shape;
  const auto parts = static_cast<size_t>(shape[1] / width);
  const NodeId first_new = graph.num_nodes();
  FT_TRY(auto all, append_node(graph, ops::kSplit, {prefix},
                               {{"axis", 1},
                                {"sizes", std::vector<int64_t>(parts, width)}},
                               {.name = "prompt_embeddings/layers"}));
  move_in_front(graph, first_new, 0);
  return all;
}

Status prepend_keys(Graph& graph, size_t layer, ValueId k, ValueId v,
                    int64_t batch) {
  const NodeId at = attentions(graph)[layer];
  const Node node = graph.node(at);
  const NodeId first_new = graph.num_nodes();
  FT_TRY(const ValueId keys, prepend_rows(graph, k, node.inputs[1], batch,
                                          node.name + "/prefix_keys"));
  FT_TRY(const ValueId values, prepend_rows(graph, v, node.inputs[2], batch,
                                            node.name + "/prefix_values"));
  set_input(graph, at, 1, keys);
  set_input(graph, at, 2, values);
  move_in_front(graph, first_new, at);
  return ok_status();
}

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  FT_TRY(const TokenModel model, token_model(graph, settings.method));
  FT_TRY(const int64_t width, key_width(graph));
  const int64_t n = settings.integer(kNumVirtualTokens);
  const auto layers = static_cast<int64_t>(attentions(graph).size());
  describe_virtual_tokens(graph, model, adapted);
  adapted.metadata["token_dim"] = fmt::format("{}", width);
  const Node& first = graph.node(attentions(graph)[0]);
  adapted.metadata["num_attention_heads"] = fmt::format(
      "{}", first.attrs.get_int("kv_heads", first.attrs.get_int("heads", 1)));
  const ValueId prefix =
      add_prefix(graph, settings, {n, layers * 2 * width}, adapted);
  FT_TRY_STATUS(shift_positions(graph, model, n));
  FT_TRY_STATUS(prepend_key_ids(graph, model, n));
  FT_TRY(const auto parts, split_layers(graph, prefix, width));
  for (size_t i = 0; i < parts.size() / 2; ++i)
    FT_TRY_STATUS(
        prepend_keys(graph, i, parts[2 * i], parts[2 * i + 1], model.batch));
  return ok_status();
}

}  // namespace

extern const MethodDef kPrefix;
constinit const MethodDef kPrefix = {
    .name = "prefix",
    .summary = "trained keys and values in front of every attention's own",
    .settings = kSettings,
    .apply = apply,
    .merge = nullptr};

}  // namespace ft
