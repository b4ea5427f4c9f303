#include "train/rank_allocation.h"

#include <fmt/format.h>

#include <algorithm>

#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/rank_allocation.h"

namespace ft {
namespace {

ValueId add_state(Graph& graph, const std::string& name, const Shape& shape) {
  return graph.add_value(
      {.name = name,
       .type = {.dtype = DType::kF32, .shape = shape, .quant = {}},
       .kind = ValueKind::kState});
}

// One after another; a concat takes so many at once and not more.
Result<ValueId> put_together(Graph& graph, std::vector<ValueId> parts) {
  const auto most = static_cast<size_t>(ops::kConcat.max_inputs);
  const std::string name = "ranks/scores";
  for (int level = 0; parts.size() > 1; ++level) {
    std::vector<ValueId> longer;
    for (size_t i = 0; i < parts.size(); i += most) {
      const auto first = parts.begin() + static_cast<ptrdiff_t>(i);
      const size_t count = std::min(most, parts.size() - i);
      const std::vector<ValueId> some(first,
                                      first + static_cast<ptrdiff_t>(count));
      const std::string own =
          count == parts.size()
              ? name
              : fmt::format("{}/{}.{}", name, level, i / most);
      FT_TRY(const ValueId joined,
             append(graph, ops::kConcat, some, {{"axis", 0}}, {.name = own}));
      longer.push_back(joined);
    }
    parts = std::move(longer);
  }
  return parts[0];
}

}  // namespace

RankAllocator::RankAllocator(const RankAllocation& ranks, ValueId hyper)
    : ranks_(ranks), hyper_(hyper), grads_(ranks.triplets.size()) {}

bool RankAllocator::owns(ValueId param) const {
  for (const RankTriplet& t : ranks_.triplets)
    if (param == t.a || param == t.b || param == t.e) return true;
  return false;
}

Status RankAllocator::append_score(Graph& graph, const RankTriplet& t,
                                   Grads& g) {
  std::vector<ValueId> inputs = {t.a, g.a, t.b, g.b, t.e, g.e};
  for (const ValueId param : {t.a, t.b, t.e}) {
    const Value v = graph.value(param);
    inputs.push_back(add_state(graph, v.name + "/sensitivity", v.type.shape));
    inputs.push_back(add_state(graph, v.name + "/uncertainty", v.type.shape));
  }
  if (steps_ == kNone) steps_ = add_state(graph, "ranks/steps", {1});
  inputs.insert(inputs.end(), {hyper_, steps_});
  FT_TRY(g.score, append(graph, ops::kAdaloraScore, inputs, ranks_.score,
                         {.name = "grad/" + graph.value(t.e).name + "/score"}));
  return ok_status();
}

Status RankAllocator::ready(Graph& graph, ValueId param, ValueId grad,
                            const Update& update) {
  for (size_t i = 0; i < grads_.size(); ++i) {
    const RankTriplet& t = ranks_.triplets[i];
    Grads& g = grads_[i];
    if (param == t.a) g.a = grad;
    if (param == t.b) g.b = grad;
    if (param == t.e) g.e = grad;
    if (g.score != kNone || g.a == kNone || g.b == kNone || g.e == kNone)
      continue;
    FT_TRY_STATUS(append_score(graph, t, g));
    FT_TRY_STATUS(update(graph, t.a, g.a));
    FT_TRY_STATUS(update(graph, t.b, g.b));
  }
  return ok_status();
}

Status RankAllocator::finish(Graph& graph, const Update& update) {
  if (grads_.empty()) return ok_status();
  std::vector<ValueId> scores;
  for (const Grads& g : grads_) scores.push_back(g.score);
  FT_TRY(const ValueId all, put_together(graph, std::move(scores)));
  const ValueId kept =
      add_state(graph, "ranks/kept", graph.value(all).type.shape);
  FT_TRY(const ValueId mask,
         append(graph, ops::kAdaloraAllocate, {all, kept, steps_, hyper_},
                ranks_.schedule, {.name = "ranks/mask"}));
  int64_t first = 0;
  for (size_t i = 0; i < grads_.size(); ++i) {
    const ValueId e = ranks_.triplets[i].e;
    const std::string name = graph.value(e).name;
    const int64_t r = graph.value(e).type.shape[0];
    FT_TRY(const ValueId own, append(graph, ops::kSlice, {mask},
                                     {{"begin", std::vector<int64_t>{first}},
                                      {"size", std::vector<int64_t>{r}}},
                                     {.name = "ranks/" + name}));
    FT_TRY_STATUS(update(graph, e, grads_[i].e));
    FT_TRY(const auto none, append_node(graph, ops::kAdaloraPrune, {e, own}, {},
                                        {.name = "update/" + name + "/prune"}));
    FT_CHECK(none.empty());
    first += r;
  }
  return ok_status();
}

}  // namespace ft
