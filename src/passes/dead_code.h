// Drops nodes whose outputs nobody needs.
//
// A node is kept if it updates something in place, or if one of its outputs is
// a graph output or is read by a kept node. Values keep their ids.
#pragma once

#include "ir/graph.h"

namespace ft {

void remove_dead_nodes(Graph& graph);

}  // namespace ft
