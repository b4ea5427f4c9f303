// Computes values of the forward pass a second time for the backward pass
// instead of keeping them alive in between.
//
// A value that was dropped is computed again in front of a node of the backward
// pass that reads it, from what was kept, through dropped values if need be;
// nodes that follow at once read the same copy. Equal inputs give equal bits.
// Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
#pragma once

#include <set>

#include "ir/graph.h"

namespace ft {

// Values that a method marked with the attribute recompute=1: their inputs are
// alive in the backward pass anyway, as x is for the gradient of LoRA's h = A
// x.
std::set<ValueId> marked_values(const Graph& graph, NodeId first_backward);

// Every activation of the forward pass that may be dropped: not the graph's
// outputs, and not what a node that changes a state computes.
std::set<ValueId> droppable_values(const Graph& graph, NodeId first_backward);

// Before updates are moved. `first_backward` is the first node that
// append_backward() appended. Values whose parameters have been updated where
// they would be computed again are kept after all.
void recompute_dropped(Graph& graph, NodeId first_backward,
                       std::set<ValueId> dropped);

}  // namespace ft
