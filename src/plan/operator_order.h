// The order in which a graph's nodes run, so that fewer bytes are alive at
// once.
//
// No value changes: each node computes the same from the same inputs, and nodes
// that read or write what an update changes keep their order among each other.
// Exact where order_search.h is.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "ops/op_def.h"

namespace ft {

// All nodes; as they are in the graph where no better order is found.
// `overlaps`: by node, what its kernel row allows. `work`: see find_order().
std::vector<NodeId> order_for_peak(const Graph& graph,
                                   std::span<const Overlap> overlaps,
                                   int64_t work);

}  // namespace ft
