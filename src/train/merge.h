// Folding an adapter into its base: W + scaling B A, as a float graph to
// measure and as a .tflite file to deploy.
//
// int8 weights get fresh scales (per channel where the base has them per
// channel), biases the accumulator scale that follows, and a new head the
// output quantizer that training measured. Activations keep their quantizers,
// so everything that was not adapted computes as before.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/tflite/import.h"
#include "methods/compose.h"

namespace ft {

// Smallest and largest logit over the training samples.
struct AnswerRange {
  float low = 0, high = 0;
};

struct MergeInput {
  std::vector<AdapterPart> adapters;
  // For a new int8 head; adapters made elsewhere tell none.
  std::optional<AnswerRange> answer_range = std::nullopt;
};

// The model in float32 with the merged weights (activations not quantized).
Result<TfliteModel> merged_float_model(const std::string& model_path,
                                       const MergeInput& input);

// A complete .tflite file in the base's own precision. `original` is the file
// that `base` was imported from, as deployed (not dequantized).
Result<std::vector<std::byte>> merged_tflite(
    std::span<const std::byte> original, const TfliteModel& base,
    const MergeInput& input);

}  // namespace ft
