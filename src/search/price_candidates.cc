#include "search/price_candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace ft {

CandidatePricer::CandidatePricer(SearchedModel& model,
                                 const std::optional<Target>& target,
                                 const Limits& limits,
                                 std::span<const CandidateGroup> groups,
                                 KeepGoing keep_going)
    : model_(model),
      target_(target),
      limits_(limits),
      groups_(groups),
      keep_going_(std::move(keep_going)) {
  for (const CandidateGroup& group : groups_) {
    done_.emplace_back(group.candidates.size());
    total_ += static_cast<int64_t>(group.candidates.size());
  }
}

Status CandidatePricer::price_best_of_sets() {
  for (size_t g = 0; g < groups_.size(); ++g) {
    std::set<size_t> found;  // sets of layers
    for (size_t i = 0; i < groups_[g].candidates.size(); ++i) {
      const Candidate& c = groups_[g].candidates[i];
      if (found.contains(c.set)) continue;
      done_[g][i] = true;
      FT_TRY(const bool fits, price(c, g));
      if (fits) found.insert(c.set);
    }
  }
  return ok_status();
}

Status CandidatePricer::price_rest() {
  for (size_t g = 0; g < groups_.size(); ++g)
    for (size_t i = 0; i < groups_[g].candidates.size(); ++i)
      if (!done_[g][i]) {
        done_[g][i] = true;
        FT_TRY_STATUS(price(groups_[g].candidates[i], g).status());
      }
  std::ranges::stable_sort(fitting_, {}, &FittingPlan::group);
  return ok_status();
}

Result<bool> CandidatePricer::price(const Candidate& c, size_t group) {
  if (!keep_going_(c.plan, seen_++, total_)) return io_error("interrupted");
  FT_TRY_STATUS(model_.base(c.plan.precision).status());  // a file's fault
  const auto costs = costs_of(c.plan, model_, target_, limits_);
  if (!costs.ok()) {
    const Code code = costs.status().code();
    if (code == Code::kInternal || code == Code::kIo) return costs.status();
    if (code != Code::kDoesNotFit) impossible_.add(c.plan, costs.status());
    last_refusal_ = costs.status();
    return false;
  }
  ++priced_;
  if (!costs->meets(limits_, c.plan.accumulate)) {
    keep_smallest(*costs, c.plan);
    return false;
  }
  fitting_.push_back({c.plan, group, c.set, *costs});
  return true;
}

void Impossible::add(const TrainingPlan& plan, const Status& why) {
  if (plans++ == 0) first = plan.describe() + ": " + why.message();
}

void CandidatePricer::keep_smallest(const PlanCosts& costs,
                                    const TrainingPlan& plan) {
  const auto take = [&](Smallest& s, auto of) {
    if (s.plan.empty() || of(costs) < of(s.costs)) s = {costs, plan.describe()};
  };
  take(smallest_[0], [](const PlanCosts& c) { return c.ram_bytes; });
  take(smallest_[1], [](const PlanCosts& c) { return c.flash_bytes; });
  take(smallest_[2], [](const PlanCosts& c) { return c.step_ms; });
  take(smallest_[3], [](const PlanCosts& c) { return c.step_mj; });
}

Status CandidatePricer::what_would_fit() {
  for (const CandidateGroup& group : groups_)
    for (const Candidate& c : group.candidates) {
      auto costs = least_costs_of(c.plan, model_, target_);
      if (costs.ok()) keep_smallest(*costs, c.plan);
    }
  if (smallest_[0].plan.empty()) return last_refusal_;
  std::string text = fmt::format(
      "no plan fits: the smallest needs {} bytes of RAM ({}); the least "
      "flash is {} bytes ({})",
      smallest_[0].costs.ram_bytes, smallest_[0].plan,
      smallest_[1].costs.flash_bytes, smallest_[1].plan);
  if (target_ && target_->costs)
    text += fmt::format(
        "; the fastest step {:.4g} ms ({}); the least energy {:.4g} mJ a "
        "step ({})",
        smallest_[2].costs.step_ms, smallest_[2].plan,
        smallest_[3].costs.step_mj, smallest_[3].plan);
  return does_not_fit(text);
}

}  // namespace ft
