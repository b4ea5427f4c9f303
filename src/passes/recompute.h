// Computes marked values a second time for the backward pass instead of keeping
// them alive through the whole step.
//
// A node with the attribute recompute=1 is repeated in front of the first node
// of the backward pass that reads its output; equal inputs give equal bits. Its
// own inputs must be alive there anyway for this to save memory, as x is for
// the gradient of LoRA's h = A x.
#pragma once

#include "ir/graph.h"

namespace ft {

// `first_backward` is the first node that append_backward() appended.
void recompute_marked(Graph& graph, NodeId first_backward);

}  // namespace ft
