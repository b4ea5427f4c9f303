#include "passes/recompute.h"

#include <algorithm>

#include "ops/op_def.h"

namespace ft {
namespace {

// A view of the value is as good as the value itself: kNone, or the first
// backward node that reads it.
NodeId first_backward_reader(const Graph& graph, ValueId v,
                             NodeId first_backward) {
  for (const NodeId reader : graph.readers(v))
    if (reader >= first_backward) return reader;
  return kNone;
}

}  // namespace

void recompute_marked(Graph& graph, NodeId first_backward) {
  std::vector<Node> nodes;
  std::vector<std::vector<Node>> before(static_cast<size_t>(graph.num_nodes()));
  for (NodeId id = 0; id < first_backward; ++id) {
    if (graph.node(id).attrs.get_int("recompute") == 0) continue;
    const ValueId kept = graph.node(id).outputs[0];
    const NodeId reader = first_backward_reader(graph, kept, first_backward);
    if (reader == kNone) continue;
    Node again = graph.node(id);
    again.name += "/again";
    const Value& value = graph.value(kept);
    again.outputs = {graph.add_value({.name = again.name, .type = value.type})};
    for (NodeId n = reader; n < graph.num_nodes(); ++n)
      std::ranges::replace(graph.node(n).inputs, kept, again.outputs[0]);
    before[static_cast<size_t>(reader)].push_back(std::move(again));
  }
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    for (Node& again : before[static_cast<size_t>(id)])
      nodes.push_back(std::move(again));
    nodes.push_back(graph.node(id));
  }
  graph.set_nodes(std::move(nodes));
}

}  // namespace ft
