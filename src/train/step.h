// Turns a base model, a method and a loss into the two programs of a job: the
// training step, and inference with the adapter beside the base.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "methods/compose.h"
#include "plan/program.h"
#include "train/adapter_storage.h"
#include "train/base_model.h"
#include "train/optimizer.h"

namespace ft {

enum class Loss { kSoftmaxCrossEntropy, kMse };

enum class Precision { kF32, kMixed, kInteger };
Result<Precision> parse_precision(std::string_view word);
std::string_view name_of(Precision precision);

// A base model in the arithmetic of `precision`, with `batch` samples a run:
// mixed and integer keep an int8 model as deployed, f32 dequantizes it. Float
// models are float in all; compiling them for integer fails.
// `seq_len` is of models that read tokens; 0: see SequenceShape.
Result<BaseModel> load_base(const std::string& path, Precision precision,
                            int batch, int seq_len = 0);

// Cross-entropy if the model ends in a softmax, reads tokens or gets a new
// head.
Loss natural_loss(const Graph& base, const MethodSettings& method);

// What is computed again for the backward pass instead of kept: nothing, values
// that a method marked (LoRA's h = A x; a little more time), or all activations
// that matter (much more time). kIfNeeded takes the first that fits the budget,
// of all activations as few as will do. Same bits, less RAM.
enum class Recompute { kIfNeeded, kAlways, kNever, kAll };
Result<Recompute> parse_recompute(std::string_view word);

struct StepSettings {
  MethodSettings method;
  // Adapters that the method's stands on, frozen: their tensors come first,
  // then the trained one's with AdapterTensor::adapter = below.size().
  std::vector<MethodSettings> below = {};
  OptimizerSettings optimizer;
  Loss loss = Loss::kSoftmaxCrossEntropy;
  PlanOptions plan;
  Precision precision = Precision::kMixed;  // of what is not the base's
  AdapterStorage storage = {};
  Recompute recompute = Recompute::kIfNeeded;
  // Above 0, in place of `recompute`: the least RAM for at most so many times
  // the multiply-accumulates of the step that keeps everything.
  double recompute_limit = 0;
  bool fuse_updates = true;     // false: every gradient is a tensor (tests)
  size_t ram_bytes = SIZE_MAX;  // budget of arena, persistent and scratch
};

// A compiled program with what the caller needs to feed it.
struct CompiledStep {
  Program program;
  AdaptedGraph adapted;                    // parameter ids are of program.graph
  std::vector<LearnedSteps> learned = {};  // how the adapter will be stored
};

// Training. Inputs in order: the model's inputs, the target (int32[n] labels,
// or float32 of the prediction's shape), hyper float32[4]. Outputs: loss
// float32[1]; with cross-entropy also the logits float32[n, classes], but not
// those of every token: their gradient takes their place. Integer
// precision has the types of passes/integerize.h in their places; answers.h
// reads either. Fails
// with kDoesNotFit if the budget is too small for every way of computing the
// step.
Result<CompiledStep> compile_training(const Graph& base,
                                      const StepSettings& settings);

// Inference with the adapter unmerged. Outputs: the model's own (same dtype),
// then the logits or prediction as float32, or as answers.h reads it. `storage`
// is for parameters that are being trained; values from a file are stored ones
// already.
Result<CompiledStep> compile_inference(const Graph& base,
                                       const MethodSettings& method,
                                       const PlanOptions& plan,
                                       Precision precision = Precision::kMixed,
                                       const AdapterStorage& storage = {});

// The same with several adapters; see methods/compose.h.
Result<CompiledStep> compile_inference(const Graph& base,
                                       std::span<const MethodSettings> methods,
                                       const PlanOptions& plan,
                                       Precision precision,
                                       const AdapterStorage& storage = {});

// Whether adapters beside int8 layers compute as they were trained, or in
// integers of their own (passes/int8_sides.h), much faster on devices.
enum class SideArithmetic { kAsTrained, kInt8 };
Result<SideArithmetic> parse_side_arithmetic(std::string_view adapter_mode);

// Inference with SideArithmetic::kInt8. Integers depend on the values, so
// `install` gives the parameters theirs before the program is planned. Its
// parameters are those integers; `adapted` names the float ones no more.
using InstallValues = std::function<Status(CompiledStep& step)>;
Result<CompiledStep> compile_int8_inference(
    const Graph& base, std::span<const MethodSettings> methods,
    const PlanOptions& plan, Precision precision, const InstallValues& install);

// For other values of the same settings: constants depend on the base alone.
// First what they are written into, a graph that is never planned; then what
// `install` gives it goes into a persistent region of that program.
Result<CompiledStep> before_int8(const Graph& base,
                                 std::span<const MethodSettings> methods,
                                 Precision precision);
Status write_int8_values(const CompiledStep& before,
                         const InstallValues& install, const Program& program,
                         std::span<std::byte> region);

// The base alone, without any method; outputs as above.
Result<CompiledStep> compile_base(const Graph& base, const PlanOptions& plan);

}  // namespace ft
