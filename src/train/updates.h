// What happens to the gradients of a step: per-run clipping, accumulation over
// runs, the choice of the largest entries, clipping, and the updates; all as
// nodes of the step graph.
//
// Without a norm to keep, each parameter's chain is appended as soon as its
// gradient is complete, so that the gradient dies at once. A norm is known only
// when all gradients are: then all of them stay alive until the end of the
// backward pass, which the plan counts (4 bytes for each trainable value, or 8
// for each of the largest entries: the norm is then theirs). The alternative, a
// second backward pass, would cost a step's time again.
#pragma once

#include <utility>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "train/optimizer.h"
#include "train/rank_allocation.h"

namespace ft {

class Updates {
 public:
  // `settings` and `ranks` must outlive the object; `hyper` is
  // add_hyper_input()'s.
  Updates(const OptimizerSettings& settings, const RankAllocation& ranks,
          ValueId hyper)
      : settings_(settings), hyper_(hyper), ranks_(ranks, hyper) {}

  // As append_backward() calls it.
  Status ready(Graph& graph, ValueId param, ValueId grad);
  // Once, behind the backward pass.
  Status finish(Graph& graph);

 private:
  // Accumulation, choice and clipping by value.
  Status prepare(Graph& graph, ParamGradient& g);
  Status accumulate(Graph& graph, ParamGradient& g);
  Status keep_largest(Graph& graph, ParamGradient& g);
  Status clip_value(Graph& graph, ParamGradient& g);
  Status clip_norm(Graph& graph, double max_norm, const char* what);
  Status finish_waiting(Graph& graph);
  Status update(Graph& graph, const ParamGradient& g);
  RankAllocator::Update append_own() const;

  const OptimizerSettings& settings_;
  ValueId hyper_;
  RankAllocator ranks_;
  std::vector<ParamGradient> waiting_;  // for a norm
};

}  // namespace ft
