// Which layers and channels are worth adapting: the gradients of all weights at
// the start, from a few samples.
//
// A layer's gradient G = dL/dW [rows, columns] is never held. Each layer gets
// LoRA factors with B = 0 and A = sqrt(columns / r) Q, Q random with
// orthonormal rows; one run of plain SGD at rate 1 leaves B = -G A^T, whose
// energy |G A^T|^2 is that of G on average, and exactly where r = columns. So
// the measurement needs what a training step of this rank needs. It goes
// through the layers in as many rounds as the budget asks for, with narrower
// sketches where only they fit.
//
// Sources: Kirkpatrick et al., "Overcoming catastrophic forgetting in neural
// networks", 2017 (diagonal of the empirical Fisher information); Halko et al.,
// "Finding structure with randomness", 2011 (sketch).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "train/gradient_mask.h"

namespace ft {

struct LayerSensitivity {
  std::string module, kind;
  int64_t rows = 0, columns = 0;  // of the weight as a matrix
  int r = 0;                      // rows of the sketch
  // Trace of the empirical Fisher information: mean over the samples of
  // |dL/dW|^2, by the samples' own labels.
  double fisher = 0;
  // |mean over the samples of dL/dW|: length of the first update at rate 1.
  double mean_gradient = 0;
  // Shares of the gradients' energy in their r principal input directions,
  // largest first; sum 1 (all 0 without any gradient).
  std::vector<double> spectrum = {};
  std::vector<double> channels = {};  // shares of the outputs (rows), in order

  // Bytes of float32 LoRA factors of rank 1.
  size_t bytes_of_rank() const {
    return sizeof(float) * static_cast<size_t>(rows + columns);
  }
  // Length of the first update for each byte that it costs at rank 1.
  double update_per_byte() const {
    return mean_gradient / static_cast<double>(bytes_of_rank());
  }
};
// Fewest of `shares`, taken from the largest on, that make `part` of their sum.
int count_for(std::vector<double> shares, double part);

struct SensitivitySettings {
  int r = 16;  // of the sketch; less where a weight or the budget is smaller
  // Samples that a new head (method.num_classes) is trained on first, at this
  // rate: gradients through a random head say little.
  int64_t head_samples = 0;
  double head_lr = 0.01;
  std::vector<std::string> target_modules = {};  // empty: every adaptable one
  int num_classes = 0;  // a new head, see MethodSettings
  uint64_t seed = 0;    // of the sketch
  Loss loss = Loss::kSoftmaxCrossEntropy;
  Precision precision = Precision::kMixed;
  PlanOptions plan = {};
  size_t ram_bytes = SIZE_MAX;  // of program and statistics together
};

struct Sensitivity {
  std::vector<LayerSensitivity> layers;  // in the model's order
  // Layers that LoRA refuses, or that do not fit the budget alone: why.
  std::vector<std::pair<std::string, std::string>> left_out;
  size_t ram_bytes = 0;  // of the largest round
  int rounds = 0;
  size_t samples = 0;
};

// `base` has batch 1. `keep_going` is told runs done and the total, and may
// stop (kIo). Fails with kDoesNotFit if no layer fits the budget.
Result<Sensitivity> measure_sensitivity(
    const Graph& base, const SensitivitySettings& settings,
    const MaskSamples& data,
    const std::function<bool(int64_t, int64_t)>& keep_going);

}  // namespace ft
