#include "search/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ft {
namespace {

// Multiply-accumulates that a training step makes in a second, roughly, on the
// machines that search.
constexpr double kNominalRate = 5e8;

// Plans that fit, of one method in one precision with one optimizer: what
// promises less is not looked at then.
constexpr size_t kEnough = 6;

struct Smallest {
  PlanCosts costs;
  std::string plan;
};

class Search {
 public:
  Search(SearchedModel& model, const std::optional<Target>& target,
         const MaskSamples& data, const SearchSettings& settings)
      : model_(model), target_(target), data_(data), settings_(settings) {}

  Result<SearchResult> run() {
    FT_TRY_STATUS(measure());
    groups_ = make_candidates(settings_.space, result_.sensitivity.layers);
    for (const CandidateGroup& g : groups_)
      result_.candidates += g.candidates.size();
    FT_TRY_STATUS(price_all());
    if (fitting_.empty()) return what_would_fit();
    FT_TRY_STATUS(train(finalists()));
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

  // In each group the most promising that fits, and those below it only while
  // they are smaller.
  Status price_all() {
    int64_t done = 0;
    for (const CandidateGroup& group : groups_) {
      size_t smallest = SIZE_MAX, fitting = 0;
      for (const Candidate& c : group.candidates) {
        if (fitting == kEnough) break;
        if (!settings_.progress("plan", done++,
                                static_cast<int64_t>(result_.candidates),
                                c.plan.describe()))
          return io_error("interrupted");
        const auto costs = costs_of(c.plan, model_, target_, settings_.limits);
        if (!costs.ok()) {
          const Code code =
              costs.status().code();  // of files, or of the target
          if (code != Code::kUsage && code != Code::kDoesNotFit)
            return costs.status();
          last_refusal_ = costs.status();
          continue;
        }
        ++result_.priced;
        if (!costs->meets(settings_.limits, c.plan.accumulate)) {
          keep_smallest(*costs, c.plan);
          continue;
        }
        if (costs->ram_bytes >= smallest) continue;
        smallest = costs->ram_bytes;
        ++fitting;
        fitting_.push_back({c.plan, *costs, {}});
      }
    }
    return ok_status();
  }

  // The first of each group, then the second of each, and so on.
  std::vector<SearchedPlan> finalists() const {
    std::vector<SearchedPlan> chosen;
    std::vector<bool> taken(fitting_.size());
    const auto same = [](const TrainingPlan& a, const TrainingPlan& b) {
      return a.method == b.method && a.precision == b.precision &&
             a.optimizer == b.optimizer;
    };
    bool any = true;
    while (any && chosen.size() < settings_.finalists) {
      any = false;
      std::vector<const TrainingPlan*> groups;
      for (size_t i = 0;
           i < fitting_.size() && chosen.size() < settings_.finalists; ++i) {
        const TrainingPlan& plan = fitting_[i].plan;
        const bool seen = std::ranges::any_of(
            groups, [&](const TrainingPlan* p) { return same(*p, plan); });
        if (taken[i] || seen) continue;
        groups.push_back(&plan);
        taken[i] = any = true;
        chosen.push_back(fitting_[i]);
      }
    }
    while (chosen.size() > 1 && settings_.minutes > 0 &&
           expected_minutes(chosen) > settings_.minutes)
      chosen.pop_back();
    return chosen;
  }

  double expected_minutes(const std::vector<SearchedPlan>& plans) const {
    double macs = 0;
    for (const SearchedPlan& p : plans)
      macs += static_cast<double>(p.costs.macs) * p.plan.epochs;
    const double trainings =
        static_cast<double>(
            count_trainings(plans.size() * settings_.rates.size(), halving())) /
        static_cast<double>(plans.size());
    // Early rounds are shorter; half of the last one's length on average.
    return macs * static_cast<double>(data_.indices.size()) * trainings / 2 /
           kNominalRate / 60;
  }

  HalvingSettings halving() const {
    HalvingSettings h{
        .rounds = settings_.rounds, .folds = settings_.folds, .keep_going = {}};
    h.keep_going = [this](const TrainingPlan& plan, int64_t done,
                          int64_t total) {
      return settings_.progress("training", done, total, plan.describe());
    };
    return h;
  }

  Status train(const std::vector<SearchedPlan>& chosen) {
    std::vector<TrainingPlan> plans;
    for (const SearchedPlan& p : chosen)
      for (const double rate : settings_.rates) {
        result_.trained.push_back(p);
        result_.trained.back().plan.lr = rate;
        plans.push_back(result_.trained.back().plan);
      }
    FT_TRY(const auto results,
           successive_halving(plans, model_, data_, halving()));
    std::vector<SearchedPlan> trained;
    for (const size_t i : ranked(results)) {
      trained.push_back(std::move(result_.trained[i]));
      trained.back().result = results[i];
    }
    result_.trained = std::move(trained);
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

  void keep_smallest(const PlanCosts& costs, const TrainingPlan& plan) {
    const auto take = [&](Smallest& s, auto of) {
      if (s.plan.empty() || of(costs) < of(s.costs))
        s = {costs, plan.describe()};
    };
    take(smallest_[0], [](const PlanCosts& c) { return c.ram_bytes; });
    take(smallest_[1], [](const PlanCosts& c) { return c.flash_bytes; });
    take(smallest_[2], [](const PlanCosts& c) { return c.step_ms; });
    take(smallest_[3], [](const PlanCosts& c) { return c.step_mj; });
  }

  // The least of each that any plan needs, with everything computed twice.
  Status what_would_fit() {
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

  SearchedModel& model_;
  const std::optional<Target>& target_;
  const MaskSamples& data_;
  const SearchSettings& settings_;
  std::vector<CandidateGroup> groups_;
  std::vector<SearchedPlan> fitting_;
  Smallest smallest_[4];
  Status last_refusal_ = does_not_fit("there are no plans to look at");
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
