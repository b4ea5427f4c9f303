// Moves every in-place update to where it can run first: behind the nodes that
// make its inputs and the last other node that reads what it writes. A
// gradient's buffer then dies before the next one is made.
#pragma once

#include "ir/graph.h"

namespace ft {

void move_updates_early(Graph& graph);

}  // namespace ft
