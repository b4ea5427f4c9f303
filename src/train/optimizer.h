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
#include <utility>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "kernels/schedule/schedule.h"

namespace ft {

struct OptimizerSettings {
  std::string optimizer = "adamw";  // "adamw", "adamw8bit" or "sgd"
  double lr = 2e-3;
  double momentum = 0.9;  // sgd
  bool nesterov = false;  // sgd
  double beta1 = 0.9;     // adamw
  double beta2 = 0.999;   // adamw
  double eps = 1e-8;      // adamw
  double weight_decay = 0.0;
  // adamw8bit: tensors with fewer values keep float32 state.
  int64_t min_8bit_size = 16;
  // "cosine" or "linear" (both to zero), or "constant".
  std::string schedule = "cosine";
  int64_t warmup_steps = 0;  // updates of linear rise from zero
  int64_t accumulate = 1;    // runs whose gradients are averaged for an update
  // Of each tensor's entries, those with the largest gradients: only they are
  // updated, and nothing of the others' gradients is kept. 1: all.
  double update_fraction = 1;
  double max_grad_norm = 0;  // of all gradients together; 0: any
  double clip_value = 0;     // of each element's magnitude; 0: any
  // Norm that each run's gradient is held to before it is accumulated; with
  // one sample a run that is per-sample clipping. 0: any.
  double clip_per_sample = 0;
};

// One step down the gradient and nothing else: at rate 1, values that start at
// 0 are minus the gradient afterwards.
OptimizerSettings plain_sgd(double lr);

// The settings that decide what an update computes, by option name, as text.
// Equal texts, equal updates: part of a checkpoint's fingerprint.
std::vector<std::pair<std::string, std::string>> describe(
    const OptimizerSettings& settings);

// Fails on unknown words, on numbers out of range and on settings that
// contradict each other, naming them.
Status check_optimizer(const OptimizerSettings& settings);

// The graph input that updates read: float32[4].
ValueId add_hyper_input(Graph& graph);

// A parameter's gradient; where it has positions (int32[n]), that of these
// entries only.
struct ParamGradient {
  ValueId param, grad;
  ValueId positions = kNone;
};

// Appends the update of a parameter with zero-initialized states.
Status append_update(Graph& graph, const OptimizerSettings& settings,
                     ValueId hyper, const ParamGradient& g);

// The same for the kernel that computes what follows, on every machine.
ft_schedule schedule_of(const OptimizerSettings& settings, int64_t total_steps);

// {lr, 1/(1-beta1^t), 1/(1-beta2^t), hold} for run `step` out of `total_steps`,
// counted from 0. `accumulate` runs make one update; t = 1, 2, ... counts
// updates, and hold is 1 for the runs that only accumulate.
std::array<float, 4> hyper_values(const OptimizerSettings& settings,
                                  int64_t step, int64_t total_steps);

// The same for integer training: mantissas and exponents, then what the
// rounding's random numbers come from (kernels/bfp_updates/bfp_updates.h).
std::array<int32_t, 12> integer_hyper_values(const OptimizerSettings& settings,
                                             int64_t step, int64_t total_steps,
                                             uint64_t seed);

}  // namespace ft
