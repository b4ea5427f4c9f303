// Which way of adapting a model to some data is best within what a device has.
//
// Three sieves, each more expensive than the one before: sensitivities say
// which layers and ranks promise most (sensitivity.h), compiling says what fits
// (price_candidates.h), short trainings with held-back samples decide
// (finalists.h). Where trainings are cheap, all candidates that fit have them,
// in full. Depends on the settings, the data and the seed only, as long as no
// one stops it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "search/candidates.h"
#include "search/finalists.h"
#include "search/pareto.h"
#include "search/price_candidates.h"

namespace ft {

struct SearchSettings {
  CandidateSpace space;
  Limits limits;
  std::vector<double> rates = {1e-3, 3e-3, 1e-2};
  // Plans that are trained, each with every rate; none: 24, or all that fit,
  // each in full on all folds, where that takes some seconds.
  std::optional<size_t> finalists;
  // Bound of the trainings' expected time on this machine, at a nominal rate so
  // that the choice of finalists does not depend on the weather; 0: none.
  double minutes = 0;
  std::optional<int> rounds;  // of halving; none: 3, or 1 as said above
  int folds = 4;
  size_t sensitivity_samples = 64;
  // What is done now, how far it is, and details; false: stop.
  std::function<bool(const char* stage, int64_t done, int64_t total,
                     const std::string& detail)>
      progress;
};

struct SearchedPlan {
  TrainingPlan plan;
  PlanCosts costs;
  FinalistResult result;
};

struct SearchResult {
  Sensitivity sensitivity;
  size_t candidates = 0, priced = 0;
  Impossible impossible;
  std::vector<SearchedPlan> trained;  // all that were, best first: see ranked()
  std::vector<size_t> front;          // of those of the last round, by RAM
  size_t knee = 0;                    // index into `trained`
};

// The front's knee where no limit was given, else its best.
Result<SearchResult> search_plans(SearchedModel& model,
                                  const std::optional<Target>& target,
                                  const MaskSamples& data,
                                  const SearchSettings& settings);

}  // namespace ft
