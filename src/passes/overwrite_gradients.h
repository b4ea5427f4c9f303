// Lets input gradients of integer steps lie over the gradient they come from.
//
// The largest buffers of a backward pass are dy and dx beside each other. Where
// dy dies with dx, the convolution's gradient gets the attribute overwrites=1:
// it computes its sums twice, first for the exponent that they share, and the
// planner may roll dx over dy (ops/overlap.h). The bits stay the same. Not for
// steps that have room for both.
#pragma once

#include "ir/graph.h"

namespace ft {

// After integerize(), with nodes in their final order.
void overwrite_gradients(Graph& graph);

}  // namespace ft
