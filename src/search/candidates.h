// The plans that a search looks at: nested sets of layers, with ranks that the
// gradients' spectra and the target's tiles suggest, for each method.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "search/training_plan.h"
#include "train/sensitivity.h"

namespace ft {

struct CandidateSpace {
  std::vector<std::string> methods;
  std::vector<Precision> precisions;
  std::vector<std::string> optimizers;
  // Ranks are multiples, where the layer has so many, or halves, quarters ...
  int rank_tile = 4;
  int max_rank = 16;
  TrainingPlan common;  // base, target, head, epochs, budget of all
};

// A plan and what the sensitivities promise of it. More ranks of the same
// layers promise more; between different layers of one method promises are a
// guess, and those of different methods do not compare.
struct Candidate {
  TrainingPlan plan;
  size_t set = 0;  // of layers, counted as in layer_sets()
  double promise = 0;
};

// Those of one method, precision and optimizer, the most promising first; of
// equals the one with fewer ranks.
struct CandidateGroup {
  std::string method;
  Precision precision;
  std::string optimizer;
  std::vector<Candidate> candidates;
};

// Sets of `layers` by index, each in the model's order: all of them, the last
// 1, 2, 4 ..., and the 1, 2, 4 ... with the most Fisher information for each
// byte of a rank; of up to four layers every other set too.
std::vector<std::vector<size_t>> layer_sets(
    std::span<const LayerSensitivity> layers);

// What `r` ranks of a layer catch: its Fisher information times the part of the
// gradients' energy in the first r directions.
double energy_of_ranks(const LayerSensitivity& layer, int r);

std::vector<CandidateGroup> make_candidates(
    const CandidateSpace& space, std::span<const LayerSensitivity> layers);

}  // namespace ft
