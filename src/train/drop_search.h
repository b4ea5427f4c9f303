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
// The step with what is chosen; kDoesNotFit if that is too large.
using CompileWith = std::function<Result<CompiledStep>(const ChooseDropped&)>;

Result<CompiledStep> compile_within_budget(Recompute mode,
                                           const CompileWith& compile);

}  // namespace ft
