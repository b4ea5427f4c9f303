// Which activations a training step computes again so that it fits its budget.
#pragma once

#include <functional>
#include <set>

#include "base/result.h"
#include "ir/graph.h"
#include "train/step.h"

namespace ft {

// Values of the forward pass that are computed again; see passes/recompute.h.
using ChooseDropped =
    std::function<std::set<ValueId>(const Graph& graph, NodeId first_backward)>;
// The step with what is chosen, however large. `overwrites`: gradients may lie
// over those they come from, at twice the sums (passes/overwrite_gradients.h).
using CompileWith =
    std::function<Result<CompiledStep>(const ChooseDropped&, bool overwrites)>;

// Droppable values, but for small ones: computing those again would save
// nothing and cost a forward pass each.
std::set<ValueId> large_values(const Graph& graph, NodeId first_backward);

// kDoesNotFit if no way of `mode` is small enough. With `limit` above 0 the way
// is that of recompute_limit.h.
Result<CompiledStep> compile_within_budget(Recompute mode, double limit,
                                           size_t ram_bytes,
                                           const CompileWith& compile);

}  // namespace ft
