#include "methods/head.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "ir/real_values.h"
#include "kernels/kernel.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

const Node* producer(const Graph& graph, ValueId v) {
  const NodeId n = graph.value(v).producer;
  return n == kNone ? nullptr : &graph.node(n);
}

void drop_nodes(Graph& graph, const std::vector<NodeId>& dropped) {
  std::vector<Node> kept;
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    if (std::ranges::find(dropped, n) == dropped.end())
      kept.push_back(graph.node(n));
  graph.set_nodes(std::move(kept));
}

// logits -> [softmax] -> [quantize]: the tail after a new head, with the output
// dtype and quantizer of the old one.
Result<ValueId> rebuild_tail(Graph& graph, ValueId logits, const Node* softmax,
                             const Value& old_output) {
  ValueId out = logits;
  if (softmax != nullptr) {
    FT_TRY(out, append(graph, *softmax->op, {out}, softmax->attrs,
                       {.name = softmax->name + "/new"}));
  }
  if (old_output.type.dtype == DType::kS8) {
    FT_TRY(out, append(graph, ops::kQuantize, {out}, {},
                       {.name = old_output.name + "/quantize",
                        .out_quant = {old_output.type.quant}}));
  }
  return out;
}

}  // namespace

std::vector<float> uniform_values(size_t count, double bound, uint64_t seed,
                                  std::string_view stream) {
  const Random random(seed, stream);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = static_cast<float>(bound) * (2 * random.uniform(i) - 1);
  return values;
}

HeadSite find_head(const Graph& graph) {
  HeadSite site;
  if (graph.outputs.empty()) return site;
  ValueId v = graph.outputs[0];
  const Node* node = producer(graph, v);
  const auto step_back = [&] {
    site.chain.push_back(graph.value(v).producer);
    v = node->inputs[0];
    node = producer(graph, v);
  };
  while (node != nullptr &&
         (node->op == &ops::kQuantize || node->op == &ops::kDequantize))
    step_back();
  if (node != nullptr &&
      (node->op == &ops::kSoftmax || node->op == &ops::kLogSoftmax)) {
    site.softmax = graph.value(v).producer;
    step_back();
  }
  site.logits = v;
  while (node != nullptr && node->op == &ops::kReshape) step_back();
  if (node != nullptr &&
      (node->op == &ops::kFullyConnected || node->op == &ops::kConv2d)) {
    site.head = graph.value(v).producer;
    site.chain.push_back(site.head);
  }
  return site;
}

Status replace_head(Graph& graph, int num_classes, uint64_t seed,
                    std::vector<float> weight, std::vector<float> bias,
                    AdaptedGraph& adapted) {
  const HeadSite site = find_head(graph);
  if (site.head == kNone || graph.node(site.head).op != &ops::kFullyConnected)
    return invalid_input(
        "the model does not end in a fully connected layer (and softmax), so "
        "it has no head to replace");
  const Node head = graph.node(site.head);
  const int64_t k = graph.value(head.inputs[1]).type.shape[1];
  const auto count = static_cast<size_t>(num_classes * k);
  if (weight.empty())
    weight = uniform_values(count, 1 / std::sqrt(static_cast<double>(k)), seed,
                            "head/" + head.name);
  if (bias.empty()) bias.assign(static_cast<size_t>(num_classes), 0.0f);
  const TensorType w_type{
      .dtype = DType::kF32, .shape = {num_classes, k}, .quant = {}};
  const TensorType b_type{
      .dtype = DType::kF32, .shape = {num_classes}, .quant = {}};
  const ValueId w =
      graph.add_owned(ValueKind::kParam, head.name + "/weight", w_type, weight);
  const ValueId b =
      graph.add_owned(ValueKind::kParam, head.name + "/bias", b_type, bias);
  FT_TRY(const ValueId logits,
         append(graph, ops::kFullyConnected, {head.inputs[0], w, b},
                {{"act", FT_ACT_NONE}}, {.name = head.name}));
  const Node softmax =
      site.softmax == kNone ? Node{} : graph.node(site.softmax);
  const Value old_output = graph.value(graph.outputs[0]);
  FT_TRY(graph.outputs[0],
         rebuild_tail(graph, logits, site.softmax == kNone ? nullptr : &softmax,
                      old_output));
  drop_nodes(graph, site.chain);
  adapted.head = graph.value(logits).producer;
  adapted.tensors.push_back({.name = peft_key(head.name, "weight"),
                             .param = w,
                             .view = w_type.shape,
                             .perm = {0, 1}});
  adapted.tensors.push_back({.name = peft_key(head.name, "bias"),
                             .param = b,
                             .view = b_type.shape,
                             .perm = {0}});
  return ok_status();
}

Status maybe_new_head(Graph& graph, const MethodSettings& settings,
                      AdaptedGraph& adapted) {
  if (settings.num_classes <= 0) return ok_status();
  return replace_head(graph, settings.num_classes, settings.seed, {}, {},
                      adapted);
}

void merge_head(const Graph& base, const TensorMap& tensors,
                std::vector<MergedModule>& merged) {
  const HeadSite site = find_head(base);
  if (site.head == kNone) return;
  const std::string& name = base.node(site.head).name;
  const auto weight = tensors.find(peft_key(name, "weight"));
  const auto bias = tensors.find(peft_key(name, "bias"));
  if (weight == tensors.end() || bias == tensors.end()) return;
  merged.push_back({name, weight->second, bias->second});
}

}  // namespace ft
