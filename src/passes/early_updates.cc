#include "passes/early_updates.h"

#include <algorithm>

#include "ops/op_def.h"
#include "ops/updates_input.h"

namespace ft {
namespace {

// The last node that stays in place and must come before the update `id`;
// kNone: none. Another update's result (a sum of gradients) is there as early
// as `anchors` says, which holds the answers for the nodes before `id`.
NodeId last_dependency(const Graph& graph, NodeId id,
                       const std::vector<NodeId>& anchors) {
  const Node& update = graph.node(id);
  NodeId last = kNone;
  for (size_t i = 0; i < update.inputs.size(); ++i) {
    const ValueId v = update.inputs[i];
    if (v == kNone) continue;
    const NodeId producer = graph.value(v).producer;
    if (producer != kNone)
      last = std::max(last, anchors[static_cast<size_t>(producer)]);
    if (!updates_input(*update.op, i)) continue;
    for (const NodeId reader : graph.readers(v))
      if (reader < id)
        last = std::max(last, anchors[static_cast<size_t>(reader)]);
  }
  return last;
}

}  // namespace

void move_updates_early(Graph& graph) {
  // Updates that follow node n directly, by n + 1.
  std::vector<std::vector<NodeId>> behind(
      static_cast<size_t>(graph.num_nodes()) + 1);
  std::vector<NodeId> anchors;
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    anchors.push_back(id);
    if (graph.node(id).op->mutates == 0) continue;
    anchors.back() = last_dependency(graph, id, anchors);
    behind[static_cast<size_t>(anchors.back() + 1)].push_back(id);
  }
  std::vector<Node> nodes;
  const auto add_behind = [&](NodeId id) {
    for (const NodeId update : behind[static_cast<size_t>(id + 1)])
      nodes.push_back(graph.node(update));
  };
  add_behind(kNone);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    if (graph.node(id).op->mutates != 0) continue;
    nodes.push_back(graph.node(id));
    add_behind(id);
  }
  graph.set_nodes(std::move(nodes));
}

}  // namespace ft
