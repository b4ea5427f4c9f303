#include "search/finalists.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "base/random.h"
#include "train/evaluate.h"
#include "train/trainer.h"

namespace ft {
namespace {

// A round trains twice as long on twice as many folds: with a third of the
// plans rounds cost about the same. Below kFewest methods would have one each.
constexpr size_t kKeepOneOf = 3, kFewest = 12;

size_t kept_of(size_t plans) {
  return std::min(plans, std::max(plans / kKeepOneOf, kFewest));
}

// Indices dealt out to `folds`, those of one label evenly.
std::vector<std::vector<size_t>> deal(const MaskSamples& data, int folds,
                                      uint64_t seed) {
  std::vector<size_t> order = data.indices;
  const Random random(seed, "folds");
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[random.below(i, static_cast<uint32_t>(i))]);
  if (data.task == Task::kClassification && data.samples.label_size == 1)
    std::ranges::stable_sort(order, {},
                             [&](size_t i) { return data.samples.labels[i]; });
  std::vector<std::vector<size_t>> parts(static_cast<size_t>(folds));
  for (size_t i = 0; i < order.size(); ++i)
    parts[i % parts.size()].push_back(order[i]);
  return parts;
}

class Halving {
 public:
  Halving(std::span<const TrainingPlan> plans, SearchedModel& model,
          const MaskSamples& data, const HalvingSettings& settings)
      : plans_(plans.begin(), plans.end()),
        model_(model),
        data_(data),
        settings_(settings),
        parts_(deal(data, settings.folds, model.options().seed)),
        results_(plans.size()),
        total_(count_trainings(plans.size(), settings)) {}

  Result<std::vector<FinalistResult>> run() {
    std::vector<size_t> alive(plans_.size());
    std::iota(alive.begin(), alive.end(), size_t{0});
    for (int round = 0; round < settings_.rounds && !stopped_; ++round) {
      FT_TRY_STATUS(judge_all(alive, round));
      if (round + 1 == settings_.rounds) break;
      if (round == 0 && !stopped_) FT_TRY_STATUS(try_more(alive));
      alive = survivors(alive);
    }
    return std::move(results_);
  }

 private:
  Status judge_all(const std::vector<size_t>& plans, int round) {
    for (size_t k = 0; k < plans.size() && !stopped_; ++k)
      FT_TRY_STATUS(judge(plans[k], round));
    return ok_status();
  }

  Status try_more(std::vector<size_t>& alive) {
    if (!settings_.more) return ok_status();
    std::vector<size_t> added;
    for (TrainingPlan& plan : settings_.more(results_)) {
      added.push_back(plans_.size());
      plans_.push_back(std::move(plan));
    }
    results_.resize(plans_.size());
    alive.insert(alive.end(), added.begin(), added.end());
    return judge_all(added, 0);
  }

  std::vector<size_t> survivors(const std::vector<size_t>& alive) const {
    std::vector<TrainingPlan> plans;
    std::vector<FinalistResult> results;
    for (const size_t i : alive) {
      plans.push_back(plans_[i]);
      results.push_back(results_[i]);
    }
    std::vector<size_t> kept;
    for (const size_t i : ranked_in_turns(plans, results))
      if (kept.size() < kept_of(alive.size())) kept.push_back(alive[i]);
    std::ranges::sort(kept);
    return kept;
  }

  int folds_of(int round) const {
    const int rest = settings_.rounds - 1 - round;
    return std::max(1, settings_.folds >> rest);
  }

  int epochs_of(const TrainingPlan& plan, int round) const {
    return std::max(1, plan.epochs >> (settings_.rounds - 1 - round));
  }

  Status judge(size_t i, int round) {
    FinalistResult sum{.epochs = epochs_of(plans_[i], round), .refused = {}};
    for (int fold = 0; fold < folds_of(round); ++fold) {
      stopped_ = !settings_.keep_going(plans_[i], done_++, total_);
      if (stopped_) return ok_status();
      const auto one = train_one(plans_[i], sum.epochs, fold);
      if (!one.ok()) {
        if (one.status().code() == Code::kIo) return one.status();
        results_[i] = {.refused = one.status().message()};
        return ok_status();
      }
      const double mse = -one->mse;
      sum.quality += data_.task == Task::kClassification ? one->accuracy : mse;
      sum.loss += one->loss;
      if (data_.task == Task::kClassification) sum.samples += one->samples;
      ++sum.folds;
    }
    sum.quality /= sum.folds;
    sum.loss /= sum.folds;
    results_[i] = std::move(sum);
    return ok_status();
  }

  Result<Evaluation> train_one(const TrainingPlan& plan, int epochs, int fold) {
    FT_TRY(const BaseModel* base, model_.base(plan.precision));
    FT_TRY(StepSettings settings, model_.step(plan, {}, SIZE_MAX));
    settings.method.seed += static_cast<uint64_t>(fold);
    FT_TRY(const CompiledStep step, compile_training(base->graph, settings));
    FT_TRY(const CompiledStep inference,
           compile_inference(base->graph, settings.method, {}, plan.precision));
    FT_TRY(Session session, Session::create(step.program));
    std::vector<Session> eval;
    FT_TRY(Session shared, Session::create_sharing(inference.program, session));
    eval.push_back(std::move(shared));
    std::vector<size_t> seen;
    for (size_t p = 0; p < parts_.size(); ++p)
      if (p != static_cast<size_t>(fold))
        seen.insert(seen.end(), parts_[p].begin(), parts_[p].end());
    Trainer trainer(session, {}, data_.samples, std::move(seen), {}, data_.task,
                    {.epochs = epochs,
                     .seed = settings.method.seed,
                     .optimizer = settings.optimizer});
    FT_TRY_STATUS(trainer.check());
    FT_TRY_STATUS(trainer.run([](const Progress&) { return true; }).status());
    return evaluate(eval, data_.samples, parts_[static_cast<size_t>(fold)],
                    data_.task);
  }

  std::vector<TrainingPlan> plans_;
  SearchedModel& model_;
  const MaskSamples& data_;
  const HalvingSettings& settings_;
  std::vector<std::vector<size_t>> parts_;
  std::vector<FinalistResult> results_;
  int64_t total_, done_ = 0;
  bool stopped_ = false;
};

}  // namespace

bool better(const FinalistResult& a, const FinalistResult& b) {
  if (a.folds != b.folds) return a.folds > b.folds;
  if (a.quality != b.quality) return a.quality > b.quality;
  return a.loss < b.loss;
}

namespace {

// Of an accuracy, with two right and two wrong answers added: all right of a
// few says little. Source: Agresti and Coull, 1998.
double standard_error(const FinalistResult& r) {
  const double n = static_cast<double>(r.samples) + 4;
  const double p = (r.quality * static_cast<double>(r.samples) + 2) / n;
  return std::sqrt(p * (1 - p) / n);
}

}  // namespace

std::vector<size_t> ranked(std::span<const FinalistResult> results) {
  std::vector<size_t> order(results.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) {
    return better(results[a], results[b]);
  });
  if (order.empty() || results[order[0]].samples == 0) return order;
  const FinalistResult& best = results[order[0]];
  const double error = standard_error(best);
  const auto apart = std::ranges::find_if(order, [&](size_t i) {
    return results[i].folds < best.folds ||
           results[i].quality < best.quality - error;
  });
  std::stable_sort(order.begin(), apart, [&](size_t a, size_t b) {
    return results[a].loss < results[b].loss;
  });
  return order;
}

std::vector<size_t> ranked_in_turns(std::span<const TrainingPlan> plans,
                                    std::span<const FinalistResult> results) {
  std::map<std::string, size_t> seen;            // plans of a method so far
  std::vector<std::pair<size_t, size_t>> order;  // place in its method, index
  for (const size_t i : ranked(results))
    order.emplace_back(seen[plans[i].method]++, i);
  std::ranges::stable_sort(order, {}, &std::pair<size_t, size_t>::first);
  std::vector<size_t> indices;
  for (const auto& [place, i] : order) indices.push_back(i);
  return indices;
}

namespace {

// `add(trainings, part)`: of a round, and the part of the epochs that each has.
template <class Add>
void each_round(size_t plans, const HalvingSettings& settings, const Add& add) {
  if (settings.rounds > 1) plans += settings.most_more;
  for (int round = 0; round < settings.rounds; ++round) {
    const int rest = settings.rounds - 1 - round;
    add(static_cast<int64_t>(plans) * std::max(1, settings.folds >> rest),
        std::ldexp(1.0, -rest));
    plans = kept_of(plans);
  }
}

}  // namespace

int64_t count_trainings(size_t plans, const HalvingSettings& settings) {
  int64_t count = 0;
  each_round(plans, settings, [&](int64_t n, double) { count += n; });
  return count;
}

double count_full_trainings(size_t plans, const HalvingSettings& settings) {
  double count = 0;
  each_round(plans, settings, [&](int64_t n, double part) {
    count += part * static_cast<double>(n);
  });
  return count;
}

Result<std::vector<FinalistResult>> successive_halving(
    std::span<const TrainingPlan> plans, SearchedModel& model,
    const MaskSamples& data, const HalvingSettings& settings) {
  if (data.indices.size() < static_cast<size_t>(settings.folds))
    return invalid_input(
        fmt::format("{} training samples are too few to hold {} parts back",
                    data.indices.size(), settings.folds));
  return Halving(plans, model, data, settings).run();
}

}  // namespace ft
