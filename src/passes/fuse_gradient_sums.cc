#include "passes/fuse_gradient_sums.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "ops/all_ops.h"

namespace ft {
namespace {

constexpr size_t kAddend = 5;  // input of bfp_conv2d_input_grad

bool is_output(const Graph& graph, ValueId v) {
  return std::ranges::find(graph.outputs, v) != graph.outputs.end();
}

// Whether only `node` reads v.
bool is_private(const Graph& graph, ValueId v, NodeId node) {
  return !is_output(graph, v) && graph.readers(v) == std::vector<NodeId>{node};
}

// Whether v is computed before `node`, and read by `last` alone from there on.
bool is_ready(const Graph& graph, ValueId v, NodeId node, NodeId last) {
  const NodeId producer = graph.value(v).producer;
  return producer != kNone && producer < node && !is_output(graph, v) &&
         std::ranges::all_of(graph.readers(v), [&](NodeId reader) {
           return reader < node || reader == last;
         });
}

// The gradient that `sum` adds to another, which is there before; kNone: none.
NodeId gradient_in(const Graph& graph, NodeId sum) {
  const Node& node = graph.node(sum);
  if (node.op != &ops::kBfpAdd) return kNone;
  const NodeId id = graph.value(node.inputs[2]).producer;
  if (id == kNone) return kNone;
  const Node& grad = graph.node(id);
  const bool fits =
      grad.op == &ops::kBfpConv2dInputGrad && grad.inputs.size() <= kAddend &&
      grad.outputs == std::vector<ValueId>{node.inputs[2], node.inputs[3]} &&
      is_private(graph, grad.outputs[0], sum) &&
      is_private(graph, grad.outputs[1], sum) &&
      is_ready(graph, node.inputs[0], id, sum) &&
      is_ready(graph, node.inputs[1], id, sum);
  return fits ? id : kNone;
}

}  // namespace

void fuse_gradient_sums(Graph& graph) {
  std::vector<Node> nodes;
  for (NodeId id = 0; id < graph.num_nodes(); ++id)
    nodes.push_back(graph.node(id));
  std::vector<bool> gone(nodes.size(), false);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const NodeId into = gradient_in(graph, id);
    if (into == kNone) continue;
    const Node& sum = graph.node(id);
    Node& grad = nodes[static_cast<size_t>(into)];
    grad.inputs.resize(kAddend, kNone);
    grad.inputs.push_back(sum.inputs[0]);
    grad.inputs.push_back(sum.inputs[1]);
    grad.outputs = sum.outputs;
    gone[static_cast<size_t>(id)] = true;
  }
  std::vector<Node> kept;
  for (size_t i = 0; i < nodes.size(); ++i)
    if (!gone[i]) kept.push_back(std::move(nodes[i]));
  graph.set_nodes(std::move(kept));
}

}  // namespace ft
