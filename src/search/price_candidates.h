// What candidates cost on their target, and which of them fit: the second
// sieve of a search. Not for how good they are.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "search/candidates.h"
#include "search/plan_costs.h"

namespace ft {

struct FittingPlan {
  TrainingPlan plan;
  size_t group = 0, set = 0;  // see CandidateGroup and Candidate
  PlanCosts costs;
};

// Candidates that no budget would help, such as those with an op that the
// target has no row for.
struct Impossible {
  size_t plans = 0;
  std::string first;  // which and why

  void add(const TrainingPlan& plan, const Status& why);
};

class CandidatePricer {
 public:
  // Told the candidate that is priced next, and how many were; false: stop.
  using KeepGoing =
      std::function<bool(const TrainingPlan&, int64_t done, int64_t total)>;

  // All arguments must outlive this.
  CandidatePricer(SearchedModel& model, const std::optional<Target>& target,
                  const Limits& limits, std::span<const CandidateGroup> groups,
                  KeepGoing keep_going);

  // Of each group and set of layers the most promising that fits. kIo: stopped.
  Status price_best_of_sets();
  // Those below them too.
  Status price_rest();

  // Group after group, in each what was found first first.
  const std::vector<FittingPlan>& fitting() const { return fitting_; }
  size_t candidates() const { return static_cast<size_t>(total_); }
  size_t priced() const { return priced_; }
  const Impossible& impossible() const { return impossible_; }

  // kDoesNotFit: the least of each limit that any candidate needs, with
  // everything computed twice, and which one that is.
  Status what_would_fit();

 private:
  struct Smallest {
    PlanCosts costs;
    std::string plan;
  };

  // Whether it fits.
  Result<bool> price(const Candidate& candidate, size_t group);
  void keep_smallest(const PlanCosts& costs, const TrainingPlan& plan);

  SearchedModel& model_;
  const std::optional<Target>& target_;
  const Limits& limits_;
  std::span<const CandidateGroup> groups_;
  KeepGoing keep_going_;
  std::vector<std::vector<bool>> done_;  // by group and candidate
  std::vector<FittingPlan> fitting_;
  int64_t total_ = 0, seen_ = 0;
  size_t priced_ = 0;
  Impossible impossible_;
  Smallest smallest_[4];  // RAM, flash, time, energy
  Status last_refusal_ = does_not_fit("there are no plans to look at");
};

}  // namespace ft
