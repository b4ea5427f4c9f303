#include "ops/verify.h"

#include <fmt/format.h>

#include <cstdint>

#include "ops/checks.h"
#include "ops/op_def.h"
#include "ops/updates_input.h"

namespace ft {
namespace {

// Where each value stands while the nodes are walked in order.
struct Progress {
  std::vector<bool> readable;      // inputs, constants, ..., produced so far
  std::vector<NodeId> mutated_by;  // kNone: not yet
};

std::string describe(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  return fmt::format("node {} {} '{}'", id, node.op ? node.op->name : "?",
                     node.name);
}

std::string describe_value(const Graph& graph, ValueId id) {
  return fmt::format("value {} '{}'", id, graph.value(id).name);
}

bool in_range(const Graph& graph, ValueId id) {
  return id >= 0 && id < graph.num_values();
}

Status broken(const std::string& sentence) {
  return internal_error("graph: " + sentence);
}

Status check_data(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  const size_t have = value.data.size(), need = value.type.num_bytes();
  switch (value.kind) {
    case ValueKind::kConstant:
      if (have == need) return ok_status();
      break;
    case ValueKind::kParam:
    case ValueKind::kState:
      if (have == need || have == 0) return ok_status();
      break;
    case ValueKind::kInput:
    case ValueKind::kActivation:
      if (have == 0) return ok_status();
      return broken(fmt::format("{} is no constant but has {} bytes of data",
                                describe_value(graph, id), have));
  }
  return broken(fmt::format("{} of type {} needs {} bytes of data, has {}",
                            describe_value(graph, id), value.type.to_string(),
                            need, have));
}

Status check_quant(const Graph& graph, ValueId id) {
  const TensorType& type = graph.value(id).type;
  const QuantParams& quant = type.quant;
  if (quant.scale.size() != quant.zero_point.size())
    return broken(fmt::format("{} has {} scales and {} zero points",
                              describe_value(graph, id), quant.scale.size(),
                              quant.zero_point.size()));
  if (!quant.is_per_channel()) return ok_status();
  const int axis = quant.quantized_dimension;
  if (axis >= 0 && axis < type.shape.rank() &&
      type.shape[axis] == static_cast<int64_t>(quant.scale.size()))
    return ok_status();
  return broken(fmt::format("{} of type {} has {} scales along dimension {}",
                            describe_value(graph, id), type.to_string(),
                            quant.scale.size(), axis));
}

Status check_value(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (checked_count(value.type.shape.dims()) < 0)
    return broken(fmt::format(
        "{} has a bad shape {}: dimensions must be 0 or more and the elements "
        "fewer than 2^31",
        describe_value(graph, id), value.type.shape.to_string()));
  FT_TRY_STATUS(check_quant(graph, id));
  FT_TRY_STATUS(check_data(graph, id));
  if (value.producer == kNone) return ok_status();
  if (value.kind != ValueKind::kActivation)
    return broken(fmt::format("{} is produced by node {} but no activation",
                              describe_value(graph, id), value.producer));
  if (value.producer >= 0 && value.producer < graph.num_nodes())
    return ok_status();
  return broken(fmt::format("{} names producer {} of {} nodes",
                            describe_value(graph, id), value.producer,
                            graph.num_nodes()));
}

Status check_arity(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op == nullptr)
    return broken(fmt::format("{} has no op", describe(graph, id)));
  const auto required = static_cast<size_t>(node.op->min_inputs);
  if (node.inputs.size() < required ||
      node.inputs.size() > static_cast<size_t>(node.op->max_inputs))
    return broken(fmt::format("{} takes {} to {} inputs, has {}",
                              describe(graph, id), node.op->min_inputs,
                              node.op->max_inputs, node.inputs.size()));
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId in = node.inputs[i];
    if (in == kNone && i < required)
      return broken(fmt::format("{} lacks input {}", describe(graph, id), i));
    if (in != kNone && !in_range(graph, in))
      return broken(fmt::format("{} reads value {} of {}", describe(graph, id),
                                in, graph.num_values()));
  }
  return ok_status();
}

Status check_reads(const Graph& graph, NodeId id, const Progress& progress) {
  const Node& node = graph.node(id);
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId in = node.inputs[i];
    // A second update of a value, in order, is no reader.
    const bool updates = updates_input(*node.op, i);
    if (in == kNone) continue;
    const auto at = static_cast<size_t>(in);
    if (!progress.readable[at])
      return broken(fmt::format("{} reads {} before anyone produces it",
                                describe(graph, id),
                                describe_value(graph, in)));
    if (progress.mutated_by[at] != kNone && !updates)
      return broken(fmt::format("{} reads {}, which node {} has updated",
                                describe(graph, id), describe_value(graph, in),
                                progress.mutated_by[at]));
  }
  return ok_status();
}

Status note_mutations(const Graph& graph, NodeId id, Progress& progress) {
  const Node& node = graph.node(id);
  for (size_t i = 0; i < node.inputs.size() && i < 32; ++i) {
    const ValueId in = node.inputs[i];
    if (!updates_input(*node.op, i) || in == kNone) continue;
    const ValueKind kind = graph.value(in).kind;
    if (kind != ValueKind::kParam && kind != ValueKind::kState)
      return broken(fmt::format("{} updates {}, no parameter and no state",
                                describe(graph, id),
                                describe_value(graph, in)));
    progress.mutated_by[static_cast<size_t>(in)] = id;
  }
  return ok_status();
}

// The recorded outputs are those of the op's shape rule.
Status check_types(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  NodeView view = view_of(graph, node);
  view.outputs.clear();
  std::vector<QuantParams> wanted;
  for (const ValueId out : node.outputs)
    wanted.push_back(graph.value(out).type.quant);
  view.wanted_quant = wanted;
  const auto types = node.op->infer(view);
  if (!types.ok()) return broken(types.status().message());
  if (types.value().size() != node.outputs.size())
    return broken(fmt::format("{} has {} outputs, its rule gives {}",
                              describe(graph, id), node.outputs.size(),
                              types.value().size()));
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const TensorType& have = graph.value(node.outputs[i]).type;
    const TensorType& rule = types.value()[i];
    if (have.dtype != rule.dtype || have.shape != rule.shape)
      return broken(fmt::format("{} output {} is {}, its rule gives {}",
                                describe(graph, id), i, have.to_string(),
                                rule.to_string()));
    if (have.dtype == DType::kS8 && have.quant.empty())
      return broken(fmt::format("{} output {} is int8 without a quantizer",
                                describe(graph, id), i));
  }
  return ok_status();
}

Status note_outputs(const Graph& graph, NodeId id, Progress& progress) {
  for (const ValueId out : graph.node(id).outputs) {
    if (!in_range(graph, out))
      return broken(fmt::format("{} writes value {} of {}", describe(graph, id),
                                out, graph.num_values()));
    if (graph.value(out).kind != ValueKind::kActivation)
      return broken(fmt::format("{} writes {}, no activation",
                                describe(graph, id),
                                describe_value(graph, out)));
    const auto at = static_cast<size_t>(out);
    if (progress.readable[at])
      return broken(fmt::format("{} writes {}, which has a producer already",
                                describe(graph, id),
                                describe_value(graph, out)));
    if (graph.value(out).producer != id)
      return broken(fmt::format("{} writes {}, which names producer {}",
                                describe(graph, id), describe_value(graph, out),
                                graph.value(out).producer));
    progress.readable[at] = true;
  }
  return ok_status();
}

Status check_borders(const Graph& graph, const Progress& progress) {
  for (const ValueId id : graph.inputs)
    if (!in_range(graph, id) || graph.value(id).kind != ValueKind::kInput)
      return broken(fmt::format("graph input {} is no input value", id));
  for (const ValueId id : graph.outputs) {
    if (!in_range(graph, id))
      return broken(fmt::format("graph output {} is none of {} values", id,
                                graph.num_values()));
    if (!progress.readable[static_cast<size_t>(id)])
      return broken(fmt::format("graph output {} is never produced",
                                describe_value(graph, id)));
  }
  return ok_status();
}

}  // namespace

Status verify(const Graph& graph) {
  const auto count = static_cast<size_t>(graph.num_values());
  Progress progress{std::vector<bool>(count),
                    std::vector<NodeId>(count, kNone)};
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    FT_TRY_STATUS(check_value(graph, id));
    progress.readable[static_cast<size_t>(id)] =
        graph.value(id).kind != ValueKind::kActivation;
  }
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    FT_TRY_STATUS(check_arity(graph, id));
    FT_TRY_STATUS(check_reads(graph, id, progress));
    FT_TRY_STATUS(note_outputs(graph, id, progress));
    FT_TRY_STATUS(check_types(graph, id));
    FT_TRY_STATUS(note_mutations(graph, id, progress));
  }
  return check_borders(graph, progress);
}

}  // namespace ft
