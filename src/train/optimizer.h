// Optimizers as nodes of the step graph, and the numbers that change from step
// to step.
//
// The update of a parameter is one node that writes the parameter and its
// states in place. What depends on the step (learning rate, bias corrections)
// comes in through one graph input of four floats, `hyper`, so the compiled
// program never changes.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "ir/graph.h"

namespace ft {

struct OptimizerSettings {
  std::string optimizer = "adamw";  // "adamw" or "sgd"
  double lr = 2e-3;
  double momentum = 0.9;  // sgd
  double beta1 = 0.9;     // adamw
  double beta2 = 0.999;   // adamw
  double eps = 1e-8;      // adamw
  double weight_decay = 0.0;
  std::string schedule = "cosine";  // "cosine" (to zero) or "constant"
  int64_t warmup_steps = 0;         // linear from zero
};

// Fails on unknown words and on numbers out of range, naming them.
Status check_optimizer(const OptimizerSettings& settings);

// The graph input that updates read: float32[4].
ValueId add_hyper_input(Graph& graph);

// Appends the update of `param` by `grad` with zero-initialized states.
Status append_update(Graph& graph, const OptimizerSettings& settings,
                     ValueId hyper, ValueId param, ValueId grad);

// {lr, 1/(1-beta1^t), 1/(1-beta2^t), 0} of step t = step + 1 out of
// `total_steps`; step counts from 0.
std::array<float, 4> hyper_values(const OptimizerSettings& settings,
                                  int64_t step, int64_t total_steps);

}  // namespace ft
