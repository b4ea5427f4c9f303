// Lets input gradients of integer steps add to the gradient that they are
// summed with.
//
//   bfp_add(g, bfp_conv2d_input_grad(dy, w)) -> bfp_conv2d_input_grad(dy, w, g)
//
// x of a layer with a low-rank side has two gradients, its layer's and its
// side's, each as large as x. With an addend the second one is never a tensor,
// and the planner may write the sum over the first. The bits stay the same
// (kernels/bfp/addition.h); sums of products are computed twice, so this is not
// for steps that have room for both.
#pragma once

#include "ir/graph.h"

namespace ft {

// After integerize(), with nodes in their final order.
void fuse_gradient_sums(Graph& graph);

}  // namespace ft
