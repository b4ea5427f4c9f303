#include "passes/overwrite_gradients.h"

#include <vector>

#include "ops/all_ops.h"

namespace ft {

void overwrite_gradients(Graph& graph) {
  std::vector<NodeId> last_reader(static_cast<size_t>(graph.num_values()),
                                  kNone);
  for (NodeId id = 0; id < graph.num_nodes(); ++id)
    for (const ValueId v : graph.node(id).inputs)
      if (v != kNone) last_reader[static_cast<size_t>(v)] = id;
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    Node& node = graph.node(id);
    if ((node.op == &ops::kBfpConv2dInputGrad ||
         node.op == &ops::kBfpDepthwiseConv2dInputGrad) &&
        node.inputs.size() <= 5 &&  // one with an addend lies over that
        last_reader[static_cast<size_t>(node.inputs[0])] == id)
      node.attrs.set("overwrites", int64_t{1});
  }
}

}  // namespace ft
