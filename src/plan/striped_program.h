// Which region of a graph is computed in stripes, and in how many.
#pragma once

#include <functional>

#include "base/result.h"
#include "ir/graph.h"
#include "plan/program.h"

namespace ft {

// `hasty`: a first placement will do.
using BuildProgram = std::function<Result<Program>(Graph graph, bool hasty)>;

struct StripeChoice {
  int stripes;  // as PlanOptions::stripes, not 0
  // With kLeastRam: RAM that is enough; 0: the less the better.
  size_t enough_bytes = 0;
};

// Candidates are planned and the one with the least RAM is taken, with
// kLeastRam only if it needs less than the whole computation and at most 1.3
// times its multiply-accumulates; where some need no more than `enough_bytes`,
// the one with the least work of these, which may be the whole computation.
// That is also the answer where no region allows stripes (passes/stripes.h).
Result<Program> build_in_stripes(const Graph& graph, const StripeChoice& choice,
                                 const BuildProgram& build);

}  // namespace ft
