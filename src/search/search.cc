#include "search/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace ft {
namespace {

// Multiply-accumulates that a training step makes in a second, roughly, on the
// machines that search; and what a step takes however small it is, in the same.
constexpr double kNominalRate = 5e8;
constexpr double kMacsOfCalls = 1500;

// Trainings of a whole space that take no longer than this are all made, on up
// to so many folds: with few of them a plan sees fewer samples than it will in
// the end, which flatters those that learn fast.
constexpr double kFreeSeconds = 10;
constexpr size_t kMostFolds = 12;

constexpr size_t kFinalists = 24;
constexpr int kRounds = 3;

class Search {
 public:
  Search(SearchedModel& model, const std::optional<Target>& target,
         const MaskSamples& data, const SearchSettings& settings)
      : model_(model), target_(target), data_(data), settings_(settings) {}

  Result<SearchResult> run() {
    FT_TRY_STATUS(measure());
    const std::vector<CandidateGroup> groups =
        make_candidates(settings_.space, result_.sensitivity.layers);
    CandidatePricer pricer(
        model_, target_, settings_.limits, groups,
        [this](const TrainingPlan& plan, int64_t done, int64_t total) {
          return settings_.progress("plan", done, total, plan.describe());
        });
    FT_TRY_STATUS(pricer.price_best_of_sets());
    if (pricer.fitting().empty()) return pricer.what_would_fit();
    halving_ = halving();
    take_all_ = can_train_all(pricer);
    if (take_all_) FT_TRY_STATUS(pricer.price_rest());
    result_.candidates = pricer.candidates();
    result_.priced = pricer.priced();
    result_.impossible = pricer.impossible();
    fitting_ = pricer.fitting();
    choose_finalists();
    FT_TRY_STATUS(train());
    choose();
    return std::move(result_);
  }

 private:
  Status measure() {
    Precision precision = Precision::kF32;
    for (const Precision p : settings_.space.precisions)
      if (p != Precision::kF32) precision = Precision::kMixed;
    FT_TRY(const BaseModel* base, model_.base(precision));
    SensitivitySettings s;
    s.precision = precision;
    s.num_classes = settings_.space.common.num_classes;
    s.head_samples = static_cast<int64_t>(settings_.sensitivity_samples);
    s.seed = model_.options().seed;
    MethodSettings method;
    method.num_classes = s.num_classes;
    s.loss = model_.options().loss.value_or(natural_loss(base->graph, method));
    MaskSamples some = data_;
    some.indices = draw_samples(data_.indices, settings_.sensitivity_samples,
                                s.seed, "sensitivity");
    const auto progress = [&](int64_t done, int64_t total) {
      return settings_.progress("sample", done, total, "");
    };
    // Like the trainings, on this machine: the device's limits are of its
    // plans.
    FT_TRY(result_.sensitivity,
           measure_sensitivity(base->graph, s, some, progress));
    return ok_status();
  }

  HalvingSettings halving() {
    HalvingSettings h{.rounds = settings_.rounds.value_or(kRounds),
                      .folds = settings_.folds,
                      .keep_going = {}};
    h.keep_going = [this](const TrainingPlan& plan, int64_t done,
                          int64_t total) {
      return settings_.progress("training", done, total, plan.describe());
    };
    h.more = [this](std::span<const FinalistResult> results) {
      return untried_sets(results);
    };
    return h;
  }

  // At a nominal rate, of `plans` with the mean costs of those that fit.
  double expected_seconds(std::span<const FittingPlan> fitting, size_t plans,
                          const HalvingSettings& halving) const {
    double macs = 0;
    for (const FittingPlan& p : fitting)
      macs += (static_cast<double>(p.costs.macs) + kMacsOfCalls) *
              p.plan.epochs / static_cast<double>(fitting.size());
    return macs * static_cast<double>(data_.indices.size()) *
           count_full_trainings(plans * settings_.rates.size(), halving) /
           kNominalRate;
  }

  // Then there is one round.
  bool can_train_all(const CandidatePricer& pricer) {
    if (settings_.finalists || settings_.rounds) return false;
    HalvingSettings one_round = halving_;
    one_round.rounds = one_round.folds = 1;
    const double have = settings_.minutes > 0
                            ? std::min(kFreeSeconds, 60 * settings_.minutes)
                            : kFreeSeconds;
    const double folds =
        have /
        expected_seconds(pricer.fitting(), pricer.candidates(), one_round);
    if (folds < settings_.folds) return false;
    const size_t most = std::min(kMostFolds, data_.indices.size() / 2);
    one_round.folds =
        static_cast<int>(std::min(folds, static_cast<double>(most)));
    halving_ = std::move(one_round);
    return true;
  }

  // The first of each group, then the second of each, and so on.
  void choose_finalists() {
    std::vector<std::pair<size_t, size_t>> order;  // place in its group, index
    std::map<size_t, size_t> seen;
    for (size_t i = 0; i < fitting_.size(); ++i)
      order.emplace_back(seen[fitting_[i].group]++, i);
    std::ranges::stable_sort(order, {}, &std::pair<size_t, size_t>::first);
    std::vector<FittingPlan> sorted;
    for (const auto& [place, i] : order) sorted.push_back(fitting_[i]);
    fitting_ = std::move(sorted);
    finalists_ = fitting_.size();
    if (take_all_) return;
    finalists_ = std::clamp<size_t>(settings_.finalists.value_or(kFinalists), 1,
                                    finalists_);
    const auto too_long = [&] {
      halving_.most_more = std::min(finalists_, fitting_.size() - finalists_);
      return settings_.minutes > 0 &&
             expected_seconds({fitting_.data(), finalists_}, finalists_,
                              halving_) > 60 * settings_.minutes;
    };
    while (too_long() && finalists_ > 1) --finalists_;
  }

  // Promises are a guess between different layers. So the groups that were best
  // in the first round have all their sets of layers tried, at the best rate.
  std::vector<TrainingPlan> untried_sets(
      std::span<const FinalistResult> results) {
    std::vector<TrainingPlan> plans;
    for (const Trained& t : trained_) plans.push_back(t.plan);
    std::set<size_t> groups;
    std::vector<TrainingPlan> more;
    for (const size_t best : ranked_in_turns(plans, results)) {
      const size_t group = fitting_[trained_[best].fitting].group;
      if (!groups.insert(group).second) continue;
      for (size_t i = finalists_; i < fitting_.size(); ++i)
        if (fitting_[i].group == group && more.size() < halving_.most_more)
          more.push_back(add_training(i, plans[best].lr));
    }
    return more;
  }

  const TrainingPlan& add_training(size_t fitting, double rate) {
    trained_.push_back({fitting_[fitting].plan, fitting});
    trained_.back().plan.lr = rate;
    return trained_.back().plan;
  }

  Status train() {
    std::vector<TrainingPlan> plans;
    for (size_t i = 0; i < finalists_; ++i)
      for (const double rate : settings_.rates)
        plans.push_back(add_training(i, rate));
    FT_TRY(const auto results,
           successive_halving(plans, model_, data_, halving_));
    for (const size_t i : ranked(results))
      result_.trained.push_back(
          {trained_[i].plan, fitting_[trained_[i].fitting].costs, results[i]});
    if (result_.trained[0].result.folds == 0)
      return invalid_input(fmt::format(
          "none of the plans that fit could be trained; the last one: {}",
          results.back().refused.empty() ? "stopped" : results.back().refused));
    return ok_status();
  }

  void choose() {
    std::vector<Merits> merits;
    for (const SearchedPlan& p : result_.trained) {
      if (p.result.folds < result_.trained[0].result.folds) break;
      merits.push_back({p.result.quality,
                        {static_cast<double>(p.costs.ram_bytes),
                         p.costs.step_ms, p.costs.step_mj}});
    }
    result_.front = pareto_front(merits);
    result_.knee = knee(merits, result_.front);
  }

  SearchedModel& model_;
  const std::optional<Target>& target_;
  const MaskSamples& data_;
  const SearchSettings& settings_;
  // Of each group in turn, the most promising first; the first `finalists_`
  // are trained with every rate.
  std::vector<FittingPlan> fitting_;
  size_t finalists_ = 0;
  bool take_all_ = false;
  HalvingSettings halving_;
  struct Trained {
    TrainingPlan plan;
    size_t fitting;
  };
  std::vector<Trained> trained_;
  SearchResult result_;
};

}  // namespace

Result<SearchResult> search_plans(SearchedModel& model,
                                  const std::optional<Target>& target,
                                  const MaskSamples& data,
                                  const SearchSettings& settings) {
  return Search(model, target, data, settings).run();
}

}  // namespace ft
