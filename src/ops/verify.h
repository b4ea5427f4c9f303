// The graph's invariants (see ir/graph.h), checked after every pass.
#pragma once

#include "base/result.h"
#include "ir/graph.h"

namespace ft {

// Ok, or the first broken invariant as kInternal, naming node, values and
// numbers: value ids in range; every activation produced before it is read,
// once; output types as the op's shape rule gives; data of the right size;
// what a node updates in place is a parameter or state that no later node
// reads; fewer than 2^31 elements in each value.
Status verify(const Graph& graph);

}  // namespace ft
