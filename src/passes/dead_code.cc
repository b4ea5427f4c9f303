#include "passes/dead_code.h"

#include <algorithm>

#include "ops/op_def.h"

namespace ft {

void remove_dead_nodes(Graph& graph) {
  std::vector<bool> needed(static_cast<size_t>(graph.num_values()), false);
  for (const ValueId out : graph.outputs)
    needed[static_cast<size_t>(out)] = true;
  std::vector<Node> kept;
  for (NodeId n = graph.num_nodes() - 1; n >= 0; --n) {
    const Node& node = graph.node(n);
    const bool live = node.op->mutates != 0 ||
                      std::ranges::any_of(node.outputs, [&](ValueId out) {
                        return needed[static_cast<size_t>(out)];
                      });
    if (!live) continue;
    for (const ValueId in : node.inputs)
      if (in != kNone) needed[static_cast<size_t>(in)] = true;
    kept.push_back(node);
  }
  std::ranges::reverse(kept);
  graph.set_nodes(std::move(kept));
}

}  // namespace ft
