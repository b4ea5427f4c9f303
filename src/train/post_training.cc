#include "train/post_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "exec/session.h"
#include "formats/tflite/export.h"
#include "ir/real_values.h"
#include "ops/all_ops.h"
#include "quant/weights.h"

namespace ft {
namespace {

bool is_f32(const Graph& graph, ValueId id) {
  return graph.value(id).type.dtype == DType::kF32;
}

// Inputs and results of nodes, as far as they are float.
std::vector<ValueId> float_activations(const Graph& graph) {
  std::vector<ValueId> ids(graph.inputs);
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    for (const ValueId id : graph.node(n).outputs)
      if (is_f32(graph, id)) ids.push_back(id);
  return ids;
}

Status check_float(const TfliteModel& model) {
  const Graph& graph = model.graph;
  if (graph.inputs.size() != 1)
    return invalid_input(fmt::format(
        "the model has {} inputs; calibration feeds one", graph.inputs.size()));
  for (ValueId id = 0; id < graph.num_values(); ++id)
    if (graph.value(id).type.dtype == DType::kS8)
      return invalid_input(
          fmt::format("tensor '{}' is int8: only float32 models are quantized",
                      graph.value(id).name));
  if (is_f32(graph, graph.inputs[0])) return ok_status();
  return invalid_input(
      fmt::format("the model's input is {}, only float32 models are quantized",
                  graph.value(graph.inputs[0]).type.to_string()));
}

std::span<const float> floats(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const float*>(bytes.data()),
          bytes.size() / sizeof(float)};
}

// Ops that need the quantizer of what they read in what they write: they move
// or compare values. The inputs that count, else none.
std::vector<ValueId> sharers(const Node& node) {
  const OpDef* const kMovers[] = {
      &ops::kReshape,      &ops::kTranspose, &ops::kPad,    &ops::kSlice,
      &ops::kStridedSlice, &ops::kSplit,     &ops::kGather, &ops::kResize,
      &ops::kMaxPool2d,    &ops::kAvgPool2d, &ops::kConcat};
  const std::string kind = node.attrs.get_word("kind");
  const bool compares =
      (node.op == &ops::kBinary && (kind == "maximum" || kind == "minimum")) ||
      (node.op == &ops::kReduce && kind == "max");
  if (node.op == &ops::kConcat || compares) return node.inputs;
  if (std::ranges::find(kMovers, node.op) == std::end(kMovers)) return {};
  return {node.inputs[0]};
}

// The quantizer that the specification prescribes for an op's result.
std::optional<QuantParams> prescribed(const Node& node) {
  const std::string kind = node.attrs.get_word("kind");
  if (node.op == &ops::kSoftmax ||
      (node.op == &ops::kUnary && kind == "logistic"))
    return QuantParams::per_tensor(1.0f / 256, -128);
  if (node.op == &ops::kLogSoftmax)
    return QuantParams::per_tensor(1.0f / 16, 127);
  if (node.op == &ops::kUnary && kind == "tanh")
    return QuantParams::per_tensor(1.0f / 128, 0);
  return std::nullopt;
}

// Axis of a linear layer's weight that has a scale for each entry; kNone: one
// for the tensor.
constexpr int kNoLayer = -2;
int channel_axis(const Node& node) {
  if (node.op == &ops::kConv2d || node.op == &ops::kTransposeConv2d) return 0;
  if (node.op == &ops::kDepthwiseConv2d) return 3;
  return node.op == &ops::kFullyConnected ? kNone : kNoLayer;
}

// Chooses quantizers for all tensors, then writes the edits of the file.
class Quantizing {
 public:
  Quantizing(const TfliteModel& model, const Ranges& ranges)
      : model_(model), graph_(model.graph), ranges_(ranges) {
    groups_.resize(static_cast<size_t>(graph_.num_values()));
    std::iota(groups_.begin(), groups_.end(), 0);
  }

  Result<TfliteEdits> run() {
    for (NodeId n = 0; n < graph_.num_nodes(); ++n) join(graph_.node(n));
    for (NodeId n = 0; n < graph_.num_nodes(); ++n)
      FT_TRY_STATUS(prescribe(graph_.node(n)));
    for (const ValueId id : float_activations(graph_))
      FT_TRY_STATUS(edit_activation(id));
    for (NodeId n = 0; n < graph_.num_nodes(); ++n)
      FT_TRY_STATUS(edit_constants(graph_.node(n)));
    edits_.int8_versions = true;
    return std::move(edits_);
  }

 private:
  ValueId group_of(ValueId id) {
    while (groups_[static_cast<size_t>(id)] != id)
      id = groups_[static_cast<size_t>(id)];
    return id;
  }

  void join(const Node& node) {
    for (const ValueId in : sharers(node))
      if (in != kNone && is_f32(graph_, in))
        for (const ValueId out : node.outputs)
          groups_[static_cast<size_t>(group_of(in))] = group_of(out);
  }

  Status prescribe(const Node& node) {
    const auto quant = prescribed(node);
    if (!quant) return ok_status();
    const auto [at, fresh] = quants_.emplace(group_of(node.outputs[0]), *quant);
    if (fresh || at->second == *quant) return ok_status();
    return invalid_input(fmt::format(
        "'{}' must share its int8 quantizer with an operator that needs "
        "another one",
        node.name));
  }

  // The range of everything that shares the value's quantizer.
  const QuantParams& quant_of(ValueId id) {
    const ValueId group = group_of(id);
    if (const auto at = quants_.find(group); at != quants_.end())
      return at->second;
    Range range;  // holds 0 in any case
    for (ValueId v = 0; v < graph_.num_values(); ++v) {
      if (group_of(v) != group || !is_f32(graph_, v)) continue;
      const Range r = range_of(v);
      range.low = std::min(range.low, r.low);
      range.high = std::max(range.high, r.high);
    }
    if (range == Range{}) range.high = 1;  // nothing but zeros
    return quants_.emplace(group, activation_quantizer(range.low, range.high))
        .first->second;
  }

  Range range_of(ValueId id) const {
    if (const auto at = ranges_.find(id); at != ranges_.end())
      return at->second;
    const Value& value = graph_.value(id);
    if (value.data.empty()) return {};
    const std::vector<float> real = real_values(value);
    const auto [low, high] = std::ranges::minmax(real);
    return {low, high};
  }

  Result<int> tensor_of(ValueId id) const {
    const int tensor = model_.tensor_of(id);
    if (tensor != kNone) return tensor;
    return invalid_input(
        fmt::format("'{}' has no tensor of its own in the file, so it cannot "
                    "become int8",
                    graph_.value(id).name));
  }

  // Values that the importer made up between two nodes have no tensor; they
  // will be made again for the int8 model.
  Status edit_activation(ValueId id) {
    const int tensor = model_.tensor_of(id);
    if (tensor == kNone || !edited_.insert(id).second) return ok_status();
    edits_.tensors.push_back(
        {.tensor_index = tensor, .quant = quant_of(id), .dtype = DType::kS8});
    return ok_status();
  }

  Status edit_constants(const Node& node) {
    const int axis = channel_axis(node);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId id = node.inputs[i];
      if (id == kNone || graph_.value(id).kind != ValueKind::kConstant ||
          !is_f32(graph_, id))
        continue;
      if (axis != kNoLayer && i == 1)
        FT_TRY_STATUS(edit_weight(id, axis));
      else if (axis != kNoLayer && i == 2)
        FT_TRY_STATUS(edit_bias(id, node));
      else
        FT_TRY_STATUS(edit_constant(id));
    }
    return ok_status();
  }

  template <class T>
  Status add_constant(ValueId id, DType dtype, const QuantParams& quant,
                      const std::vector<T>& q) {
    FT_TRY(const int tensor, tensor_of(id));
    const auto bytes = std::as_bytes(std::span(q));
    edits_.tensors.push_back(
        {.tensor_index = tensor,
         .quant = quant,
         .data = std::vector<std::byte>(bytes.begin(), bytes.end()),
         .dtype = dtype});
    return ok_status();
  }

  Status edit_weight(ValueId id, int axis) {
    if (weights_.contains(id)) return ok_status();
    const Value& value = graph_.value(id);
    QuantizedWeights w = quantize_weights(real_values(value), value.type.shape,
                                          axis != kNone, std::max(axis, 0));
    FT_TRY_STATUS(add_constant(id, DType::kS8, w.quant, w.q));
    weights_[id] = std::move(w.quant);
    return ok_status();
  }

  Status edit_bias(ValueId id, const Node& node) {
    const float x_scale = quant_of(node.inputs[0]).scale[0];
    const auto weight = weights_.find(node.inputs[1]);
    if (weight == weights_.end())
      return invalid_input(fmt::format(
          "'{}' has weights that are computed, which cannot become int8",
          node.name));
    QuantParams quant = weight->second;
    quant.quantized_dimension = 0;
    for (float& scale : quant.scale) scale *= x_scale;
    const auto [at, fresh] = biases_.emplace(id, quant);
    if (!fresh && at->second == quant) return ok_status();
    if (!fresh)
      return invalid_input(
          fmt::format("'{}' shares its bias with another layer of other scales",
                      node.name));
    return add_constant(id, DType::kS32, quant,
                        quantize_bias(real_values(graph_.value(id)), x_scale,
                                      weight->second.scale));
  }

  // An operand of an element-wise op.
  Status edit_constant(ValueId id) {
    if (!edited_.insert(id).second) return ok_status();
    const QuantParams& quant = quant_of(id);
    std::vector<int8_t> q;
    for (const float v : real_values(graph_.value(id)))
      q.push_back(static_cast<int8_t>(
          std::clamp(std::round(v / quant.scale[0]) +
                         static_cast<float>(quant.zero_point[0]),
                     -128.0f, 127.0f)));
    return add_constant(id, DType::kS8, quant, q);
  }

  const TfliteModel& model_;
  const Graph& graph_;
  const Ranges& ranges_;
  std::vector<ValueId> groups_;  // union-find by quantizer
  std::map<ValueId, QuantParams> quants_, weights_, biases_;
  std::set<ValueId> edited_;
  TfliteEdits edits_;
};

}  // namespace

Result<Ranges> observe_ranges(const TfliteModel& model, const Samples& samples,
                              std::span<const size_t> indices,
                              const ObserverSettings& settings,
                              const PlanOptions& plan) {
  FT_TRY_STATUS(check_float(model));
  Graph graph = model.graph.clone();
  const std::vector<ValueId> activations = float_activations(graph);
  // The input is observed as it is fed.
  graph.outputs.assign(activations.begin() + 1, activations.end());
  FT_TRY(const Program program, build_program(std::move(graph), plan));
  FT_TRY_STATUS(check_samples(program, samples));
  FT_TRY(Session session, Session::create(program));
  std::vector<Observer> observers(activations.size(), Observer(settings));
  std::vector<float> features(samples.feature_size);
  for (const size_t sample : indices) {
    samples.fill(sample, -1, features);
    write_features(session.input(0), program.inputs[0].type, 0, features);
    observers[0].add(features);
    session.run();
    for (size_t i = 1; i < observers.size(); ++i)
      observers[i].add(floats(session.output(i - 1)));
  }
  if (observers[0].count() > 0 && observers[0].is_constant())
    return invalid_input(
        fmt::format("the {} calibration samples hold one value only, {}",
                    indices.size(), features.empty() ? 0.0f : features[0]));
  Quantizer int8;
  int8.format = Quantizer::Format::kInteger;
  int8.symmetric = false;
  Ranges ranges;
  for (size_t i = 0; i < activations.size(); ++i) {
    const std::string what = "'" + model.graph.value(activations[i]).name + "'";
    FT_TRY(ranges[activations[i]], observers[i].range(int8, what));
  }
  return ranges;
}

Result<std::vector<std::byte>> quantized_tflite(
    std::span<const std::byte> original, const TfliteModel& model,
    const Ranges& ranges) {
  FT_TRY_STATUS(check_float(model));
  FT_TRY(const TfliteEdits edits, Quantizing(model, ranges).run());
  return rewrite_tflite(original, edits);
}

}  // namespace ft
