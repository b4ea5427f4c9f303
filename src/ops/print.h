// A graph as text, for people and for tests; one node a line.
#pragma once

#include <string>

#include "ir/graph.h"

namespace ft {

// The borders, then for each node
//   %7 'y' int8[1, 10] = fully_connected(%4, %5, -) {act=1}  # 'dense'
// with "-" for an absent input. Constants and parameters are listed with their
// kind before the first node. Never fails, even on a graph that verify()
// refuses.
std::string print_graph(const Graph& graph);

}  // namespace ft
