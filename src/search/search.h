// Which way of adapting a model to some data is best within what a device has.
//
// Three sieves, each more expensive than the one before: sensitivities say
// which layers and ranks promise most (sensitivity.h), compiling says what fits
// (plan_costs.h), short trainings with held-back samples decide
// (finalists.h). Depends on the settings, the data and the seed only, as long
// as no one stops it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "search/candidates.h"
#include "search/finalists.h"
#include "search/pareto.h"
#include "search/plan_costs.h"

namespace ft {

struct SearchSettings {
  CandidateSpace space;
  Limits limits;
  std::vector<double> rates = {1e-3, 3e-3, 1e-2};
  size_t finalists = 24;  // plans that are trained, each with every rate
  // Bound of the trainings' expected time on this machine, at a nominal rate so
  // that the choice of finalists does not depend on the weather; 0: none.
  double minutes = 0;
  int rounds = 3, folds = 4;
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
