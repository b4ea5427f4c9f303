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

// kDoesNotFit if no way of `mode` is small enough.
Result<CompiledStep> compile_within_budget(Recompute mode, size_t ram_bytes,
                                           const CompileWith& compile);

}  // namespace ft
