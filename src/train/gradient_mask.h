// Chooses what sparse fine-tuning keeps by the gradients of all entries at the
// start: |mean gradient| over the training samples.
//
// One module at a time, so that memory holds the gradients of one weight only;
// it is a pass of its own before training, and needs more than a step does.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "base/result.h"
#include "train/step.h"
#include "train/trainer.h"

namespace ft {

struct GradientMasks {
  std::map<std::string, std::vector<float>, std::less<>> masks;  // by module
  size_t peak_bytes = 0;  // arena and persistent of the largest pass
};

struct MaskSamples {
  const Samples& samples;
  std::vector<size_t> indices;  // at least one batch
  Task task;
};

// `base` has the batch of the step. `prepare` gives the adapters below their
// values.
Result<GradientMasks> gradient_masks(
    const Graph& base, const StepSettings& settings, const MaskSamples& data,
    const std::function<Status(CompiledStep&)>& prepare);

}  // namespace ft
