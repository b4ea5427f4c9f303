// Post-training quantization: a float .tflite model becomes an int8 one by the
// TensorFlow Lite quantization specification, with ranges of activations that
// were observed on calibration samples.
//
// Weights: int8, symmetric; a scale a channel for convolutions, one a tensor
// for fully connected layers. Biases: int32 in units of x_scale * w_scale.
// Activations, inputs and outputs: int8 with one scale and zero point. What
// moves values without computing shares its input's quantizer; softmax,
// log-softmax, logistic and tanh have the one that the specification gives.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <vector>

#include "base/result.h"
#include "formats/tflite/import.h"
#include "plan/program.h"
#include "quant/observer.h"
#include "train/samples.h"

namespace ft {

using Ranges = std::map<ValueId, Range>;

// Runs `indices` through the float model and observes every activation. Fails
// if there are none, if they are all the same value, and on a model that is not
// float32 of one input.
Result<Ranges> observe_ranges(const TfliteModel& model, const Samples& samples,
                              std::span<const size_t> indices,
                              const ObserverSettings& settings,
                              const PlanOptions& plan);

// The int8 model's file. `original` is what `model` was imported from; fails,
// naming it, on an operator that has no int8 form.
Result<std::vector<std::byte>> quantized_tflite(
    std::span<const std::byte> original, const TfliteModel& model,
    const Ranges& ranges);

}  // namespace ft
