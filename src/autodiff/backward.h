// Appends the backward pass of a loss to a graph: gradients as plain ops.
//
// Reverse-mode differentiation, pruned: only values that depend on a wanted
// parameter get a gradient, so nothing is computed or kept for frozen weights.
// A node with the attribute stop_gradient = 1 makes constants, as far as the
// gradient is concerned.
#pragma once

#include <functional>
#include <span>

#include "base/result.h"
#include "ir/graph.h"

namespace ft {

// Called once for each parameter, as soon as its gradient is complete and every
// node of the backward pass that reads the parameter has been appended: the
// update may be appended right there, so that the gradient dies at once.
using GradientReady =
    std::function<Status(Graph& graph, ValueId param, ValueId grad)>;

// `loss` has one element. Fails if an op on the way has no gradient, naming op
// and node, or if a parameter does not influence the loss.
Status append_backward(Graph& graph, ValueId loss,
                       std::span<const ValueId> params,
                       const GradientReady& ready);

}  // namespace ft
