// Which region of a graph is computed in stripes, and in how many.
#pragma once

#include <functional>

#include "base/result.h"
#include "ir/graph.h"
#include "plan/program.h"

namespace ft {

// `hasty`: a first placement will do.
using BuildProgram = std::function<Result<Program>(Graph graph, bool hasty)>;

// `stripes` as PlanOptions::stripes, not 0: candidates are planned and the one
// with the least RAM is taken, with kLeastRam only if it needs less than the
// whole computation and at most 1.3 times its multiply-accumulates. The
// whole computation where no region allows it (passes/stripes.h).
Result<Program> build_in_stripes(const Graph& graph, int stripes,
                                 const BuildProgram& build);

}  // namespace ft
