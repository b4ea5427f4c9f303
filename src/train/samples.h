// Samples as training and evaluation see them, and feeding them to a session.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "exec/session.h"
#include "train/optimizer.h"

namespace ft {

// Writes the real-valued model input of one sample; `epoch` lets augmentation
// differ from epoch to epoch (-1: none).
using FillFeatures =
    std::function<void(size_t sample, int epoch, std::span<float> features)>;

struct Samples {
  FillFeatures fill;
  size_t feature_size = 0;  // values of one sample
  // [samples, label_size]; empty: no classes. Several labels a sample are one
  // for each row of its answer, as next tokens are.
  std::span<const int> labels;
  size_t label_size = 1;
  std::span<const float> targets;  // [samples, target_size]; empty: the input
  size_t target_size = 0;

  std::span<const int> labels_of(size_t sample) const {
    return labels.subspan(sample * label_size, label_size);
  }
};

// Writes `features` into slot `slot` of a batch in the input's own dtype:
// float32 as they are, int8 as round(x / scale) + zero_point, saturated; int32
// the same where it has a scale (a target's grid), else (token ids) truncated.
void write_features(std::span<std::byte> input, const TensorType& type,
                    size_t slot, std::span<const float> features);

// At most `limit` of the indices (0: all), drawn without replacement; `stream`
// names what for.
std::vector<size_t> draw_samples(std::vector<size_t> indices, size_t limit,
                                 uint64_t seed, std::string_view stream);

// Inputs of a training program behind the model's own.
inline constexpr size_t kTargetInput = 1, kHyperInput = 2;

// Writes what run `step` out of `total_steps` needs of the optimizer; `seed` is
// of the stochastic rounding of integer precision.
void write_hyper(Session& session, const OptimizerSettings& settings,
                 int64_t step, int64_t total_steps, uint64_t seed);

// Fails if samples of this size cannot be fed to the program's first input.
Status check_samples(const Program& program, const Samples& samples);

}  // namespace ft
