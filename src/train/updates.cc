#include "train/updates.h"

#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/top_gradient.h"

namespace ft {

Status Updates::ready(Graph& graph, ValueId param, ValueId grad) {
  ParamGradient g{.param = param, .grad = grad};
  if (settings_.clip_per_sample > 0) {
    waiting_.push_back(g);
    return ok_status();
  }
  FT_TRY_STATUS(prepare(graph, g));
  if (settings_.max_grad_norm == 0) return update(graph, g);
  waiting_.push_back(g);
  return ok_status();
}

Status Updates::finish(Graph& graph) {
  FT_TRY_STATUS(finish_waiting(graph));
  return ranks_.finish(graph, append_own());
}

Status Updates::finish_waiting(Graph& graph) {
  if (waiting_.empty()) return ok_status();
  if (settings_.clip_per_sample > 0) {
    FT_TRY_STATUS(clip_norm(graph, settings_.clip_per_sample, "of_run"));
    for (ParamGradient& g : waiting_) FT_TRY_STATUS(prepare(graph, g));
  }
  if (settings_.max_grad_norm > 0)
    FT_TRY_STATUS(clip_norm(graph, settings_.max_grad_norm, "of_update"));
  for (const ParamGradient& g : waiting_) FT_TRY_STATUS(update(graph, g));
  return ok_status();
}

Status Updates::prepare(Graph& graph, ParamGradient& g) {
  FT_TRY_STATUS(accumulate(graph, g));
  FT_TRY_STATUS(keep_largest(graph, g));
  return clip_value(graph, g);
}

Status Updates::accumulate(Graph& graph, ParamGradient& g) {
  if (settings_.accumulate == 1) return ok_status();
  const Value param = graph.value(g.param);
  const ValueId sum = graph.add_value({.name = param.name + "/grad_sum",
                                       .type = param.type,
                                       .kind = ValueKind::kState});
  FT_TRY(g.grad,
         append(graph, ops::kAccumulateGrad, {sum, g.grad, hyper_},
                {{"scale", 1.0 / static_cast<double>(settings_.accumulate)}},
                {.name = "grad/" + param.name + "/accumulate"}));
  return ok_status();
}

// Before clipping by value, which would make the largest ones equal.
Status Updates::keep_largest(Graph& graph, ParamGradient& g) {
  if (settings_.update_fraction == 1) return ok_status();
  if (ranks_.owns(g.param))
    return usage_error(
        "--update-fraction does not go with method adalora, whose scores need "
        "the gradient of every entry");
  FT_TRY(
      const auto kept,
      append_node(graph, ops::kTopGradient, {g.grad},
                  {{"fraction", settings_.update_fraction}},
                  {.name = "grad/" + graph.value(g.param).name + "/largest"}));
  g.grad = kept[0];
  g.positions = kept[1];
  return ok_status();
}

Status Updates::clip_value(Graph& graph, ParamGradient& g) {
  if (settings_.clip_value == 0) return ok_status();
  FT_TRY(g.grad,
         append(graph, ops::kClipGradient, {g.grad},
                {{"max_value", settings_.clip_value}},
                {.name = "grad/" + graph.value(g.param).name + "/clip_value"}));
  return ok_status();
}

// Holds the norm of all waiting gradients together to `max_norm`.
Status Updates::clip_norm(Graph& graph, double max_norm, const char* what) {
  ValueId sum = kNone;
  const auto name = [&](const ParamGradient& g, const char* step) {
    return "grad/" + graph.value(g.param).name + "/" + step + "_" + what;
  };
  for (const ParamGradient& g : waiting_) {
    FT_TRY(sum, append(graph, ops::kSumSquares, {g.grad, sum}, {},
                       {.name = name(g, "norm")}));
  }
  for (ParamGradient& g : waiting_) {
    FT_TRY(g.grad, append(graph, ops::kClipGradient, {g.grad, sum},
                          {{"max_norm", max_norm}}, {.name = name(g, "clip")}));
  }
  return ok_status();
}

RankAllocator::Update Updates::append_own() const {
  return [this](Graph& graph, ValueId param, ValueId grad) {
    return append_update(graph, settings_, hyper_,
                         {.param = param, .grad = grad});
  };
}

Status Updates::update(Graph& graph, const ParamGradient& g) {
  if (ranks_.owns(g.param))
    return ranks_.ready(graph, g.param, g.grad, append_own());
  return append_update(graph, settings_, hyper_, g);
}

}  // namespace ft
