// How an adapter is stored, and training for it: the step computes with the
// very values that the file will hold.
//
// A rewrite behind the method's own, for every method: between a parameter and
// its readers comes fake quantization, with straight-through gradients. The
// parameters themselves stay float32 while training. Inference from a file
// needs none of it: the file's values are installed as they are.
#pragma once

#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "base/result.h"
#include "ir/quantizer.h"
#include "methods/method.h"

namespace ft {

struct AdapterStorage {
  Quantizer quantizer = {};  // kF32: as trained
  // Tensors that stay float32: patterns as for target_modules. Tensors of rank
  // 1 (biases, scales) stay too unless `vectors`.
  std::vector<std::string> keep_f32 = {};
  bool vectors = false;
  // Train, for each group, the ratio of its step to the smallest that fits (and
  // unless symmetric a shift of its zero point). Sources: Esser et al.,
  // "Learned Step Size Quantization", 2020; Bhalgat et al., "LSQ+", 2020.
  bool learn_steps = false;

  bool is_f32() const { return quantizer.format == Quantizer::Format::kF32; }
};

// What is learned of one tensor's steps: parameters float32[groups] that start
// at 0; kNone: not learned.
struct LearnedSteps {
  std::string tensor;  // PEFT key
  ValueId log_ratio = kNone, shift = kNone;
};

// Which tensors are stored in fewer bits: of the last adapter only, those below
// it have the values of their files. Fails if a pattern matches nothing or
// none is left, and on a tensor that holds a sum (BitFit's biases), which only
// float32 keeps exactly.
Result<std::vector<bool>> quantized_tensors(
    std::span<const AdapterTensor> tensors, const AdapterStorage& storage);

// Rewrites the graph of a method; returns what is learned, empty if nothing.
Result<std::vector<LearnedSteps>> quantize_adapter(
    Graph& graph, const AdaptedGraph& adapted, const AdapterStorage& storage);

// An entry with what the file stores: `entry.values`, in file layout, become
// the nearest values of the quantizer. Of learned steps the parameters' values,
// else empty.
void quantize_entry(const Quantizer& quantizer,
                    std::span<const float> log_ratio,
                    std::span<const float> shift, AdapterEntry& entry);

// The same of integer training, whose steps are powers of two.
void quantize_integer_entry(const Quantizer& quantizer, AdapterEntry& entry);

}  // namespace ft
