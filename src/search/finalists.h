// Short trainings that decide between plans: successive halving (here, thirds)
// over growing numbers of epochs, each judged on samples that it did not see.
// The best of each method go on together, as methods learn at different speeds.
//
// Source: Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and
// Hyperparameter Optimization", 2016.
#pragma once

#include <functional>
#include <vector>

#include "search/plan_costs.h"
#include "train/gradient_mask.h"
#include "train/samples.h"

namespace ft {

struct FinalistResult {
  double quality = 0;  // accuracy, or -mse, on held-back samples
  double loss = 0;     // on the same: decides between equals
  int folds = 0;       // that were averaged; 0: refused or diverged
  size_t samples = 0;  // answers that the accuracy counts; 0: none counts any
  int epochs = 0;
  std::string refused;  // why it could not be trained
};

// Whether `a` is the better one: more epochs and folds first, as later rounds
// keep the better.
bool better(const FinalistResult& a, const FinalistResult& b);

// Indices of `results`, best first. A few samples cannot tell accuracies apart
// that differ by less than the standard error of the best one's; among those
// the loss, which varies less, decides.
std::vector<size_t> ranked(std::span<const FinalistResult> results);

// The best of each method, then the second of each, and so on: short trainings
// flatter methods that learn fast. Results are of these plans.
std::vector<size_t> ranked_in_turns(std::span<const TrainingPlan> plans,
                                    std::span<const FinalistResult> results);

struct HalvingSettings {
  int rounds = 3;  // epochs double from round to round, up to the plan's
  int folds = 4;   // of the last round; the first has one
  // Asked once, after the first of several rounds, for at most `most_more`
  // plans that it makes worth trying: they have a first round of their own.
  std::function<std::vector<TrainingPlan>(std::span<const FinalistResult>)>
      more = {};
  size_t most_more = 0;
  // Told a training's plan before it; false: stop, keeping what is known.
  std::function<bool(const TrainingPlan&, int64_t done, int64_t total)>
      keep_going;
};

// Trainings that halving will make at most: rounds of n, n/3, ... plans, at
// least twelve, times folds.
int64_t count_trainings(size_t plans, const HalvingSettings& settings);

// Parts of the trainings that `count_trainings` counts, weighted by their
// epochs: a training of all its epochs counts 1.
double count_full_trainings(size_t plans, const HalvingSettings& settings);

// One result for each plan, of the last round that it was in; those of `more`
// behind the others.
Result<std::vector<FinalistResult>> successive_halving(
    std::span<const TrainingPlan> plans, SearchedModel& model,
    const MaskSamples& data, const HalvingSettings& settings);

}  // namespace ft
