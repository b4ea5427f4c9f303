// fieldtune: fine-tune a model on the device that uses it.
//
// The public C++20 interface: run a model with adapters (Model), train an
// adapter one step at a time on samples as they come (Training), and make
// features of sound (FrontEnd). What a file holds is fieldtune's own matter;
// the command `fieldtune` reads and writes the same ones.
//
//   FT_TRY(auto training, fieldtune::Training::create(
//       "kws.tflite", {.rank = 4, .classes = {"up", "down"},
//                      .total_steps = 400, .ram_bytes = 256 * 1024}));
//   FT_TRY(float loss, training.step(features, labels));   // 400 times
//   FT_TRY_STATUS(training.save_adapter("mine.safetensors"));
//
//   FT_TRY(auto model, fieldtune::Model::open(
//       "kws.tflite", {.adapters = {{"mine.safetensors"}}}));
//   FT_TRY(std::span<const float> answer, model.run(features));
//
// Everything that can fail returns a Result or Status with one sentence; no
// exceptions are thrown but std::bad_alloc. All memory of runs and steps is
// allocated by open() and create(). Objects are independent of each other, but
// one object must not be used by two threads at once. Equal models, options,
// samples and seeds give equal bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fieldtune/result.h"

namespace fieldtune {

using ft::Code;
using ft::Result;
using ft::Status;

// An input or output of a model. Real values are scale * (q - zero_point);
// scale 0: the tensor is not quantized.
struct TensorInfo {
  std::string name;
  std::string dtype;           // "float32", "int8", "int32" ...
  std::vector<int64_t> shape;  // batch first
  float scale = 0;
  int32_t zero_point = 0;
};

// What a run or a step needs, known before the first.
struct MemoryBytes {
  size_t arena = 0;        // activations and gradients, exactly
  size_t persistent = 0;   // adapter and optimizer state
  size_t scratch = 0;      // of one kernel
  size_t lower_bound = 0;  // of the arena
  size_t constants = 0;    // frozen weights, in flash or the mapped file
  size_t ram() const { return arena + persistent + scratch; }
};

// An adapter file, or folder of Hugging Face PEFT, and the factor of what it
// adds; 0: disabled.
struct AdapterUse {
  std::string path;
  double weight = 1;
};

struct ModelOptions {
  std::vector<AdapterUse> adapters = {};  // in the order of their application
  bool exact = false;  // the same bits on every machine, more slowly
  int sequence_length =
      0;  // tokens in a sample; 0: the adapter's or the model's
  // Whose adapters are taken: a file of `fieldtune keys`; empty: anyone's.
  std::string policy = {};
};

// A model file with adapters beside it, ready to run one sample at a time.
class Model {
 public:
  // Fails with kInvalidInput on a file that is malformed, of another base or
  // not supported, and with kIo where it cannot be read.
  static Result<Model> open(const std::string& path,
                            const ModelOptions& options = {});
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  const std::vector<TensorInfo>& inputs() const;
  const std::vector<TensorInfo>& outputs() const;
  // Names of what the answer's elements mean, where the adapter records them.
  const std::vector<std::string>& classes() const;
  MemoryBytes memory() const;

  // One sample of real numbers, as many as input 0 has elements; they are
  // quantized as the model needs it. The answer, in real numbers and valid
  // until the next run, is the logits of a classifier (before its softmax),
  // else the prediction. Fails with kUsage on another number of values.
  Result<std::span<const float>> run(std::span<const float> features);

  // The same on raw tensors: fill the inputs, run(), read the outputs. run()
  // may overwrite the inputs.
  std::span<std::byte> input(size_t i = 0);
  void run();
  std::span<const std::byte> output(size_t i = 0) const;

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct TrainingOptions {
  std::string method = "lora";  // see `fieldtune methods`
  int rank = 0;                 // 0: the method's own
  double alpha = 0;             // 0: twice the rank
  // Names, last parts of names or patterns of layers; empty: all.
  std::vector<std::string> target_modules = {};
  // What only this method has, in PEFT's words: {"use_rslora", "true"} ...
  std::map<std::string, std::string> settings = {};
  // Of a new classification head, trained with the adapter; empty: the model
  // answers as it did.
  std::vector<std::string> classes = {};
  std::string precision = "mixed";  // "f32", "mixed" or "integer"
  int batch = 1;                    // samples in a step

  std::string optimizer = "adamw";  // "adamw", "adamw8bit" or "sgd"
  double learning_rate = 2e-3;
  double weight_decay = 0;
  std::string schedule = "cosine";  // "cosine", "linear" or "constant"
  int64_t total_steps = 0;          // of the schedule: at least 1
  // Of each tensor's entries, those with the largest gradients of a step: only
  // they are updated. Above 0; 1: all.
  double update_fraction = 1;

  uint64_t seed = 0;            // of the initial values
  size_t ram_bytes = SIZE_MAX;  // budget of MemoryBytes::ram()
  std::string start_from = {};  // an adapter of the same settings
  std::string front_end = {};   // what made the features, for the record
  bool exact = false;           // as in ModelOptions
  int sequence_length = 0;      // as in ModelOptions
};

// Training of one adapter, step by step.
class Training {
 public:
  // Compiles the step. Fails as Model::open() does, with kUsage on options that
  // do not exist or contradict each other, and with kDoesNotFit, naming the
  // smallest budget that works.
  static Result<Training> create(const std::string& model_path,
                                 const TrainingOptions& options);
  Training(Training&&) noexcept;
  Training& operator=(Training&&) noexcept;
  ~Training();

  MemoryBytes memory() const;
  size_t feature_size() const;  // of one sample
  size_t label_size() const;    // labels of one sample; 0: it has targets
  size_t target_size() const;   // target values of one sample; 0: it has labels

  // One step on [batch, feature_size()] features: of classifiers with
  // [batch, label_size()] labels, else with [batch, target_size()] targets.
  // Returns the mean loss before the step's update. Fails with kUsage on other
  // sizes, labels out of range, or after total_steps, and with kInvalidInput
  // where the loss is not finite; a failed step has changed nothing.
  Result<float> step(std::span<const float> features,
                     std::span<const int32_t> labels);
  Result<float> regression_step(std::span<const float> features,
                                std::span<const float> targets);
  int64_t steps_done() const;
  // Called between the kernel calls of every step from now on, by the thread
  // that makes the step: where it waits, the step waits. Empty: nothing is.
  void set_between_calls(std::function<void()> hook);

  // The answer to one sample by the adapter as it is now, as Model::run().
  Result<std::span<const float>> predict(std::span<const float> features);

  // Written whole or not at all: an old file stays until the new one is safe.
  // `metadata` is recorded beside the training's own.
  Status save_adapter(const std::string& path,
                      const std::map<std::string, std::string>& metadata = {});
  // What save_adapter() would write: to sign it first, or to keep it elsewhere.
  Result<std::vector<std::byte>> adapter_bytes(
      const std::map<std::string, std::string>& metadata = {});
  // SHA-256 of what save_adapter() would write.
  Result<std::string> adapter_sha256();
  // What it takes to go on later, with equal bits, in a Training that was
  // created with equal options; another's checkpoint is refused.
  Status save_checkpoint(const std::string& path);
  Status load_checkpoint(const std::string& path);

 private:
  struct Impl;
  explicit Training(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Turns sound into a model's features.
class FrontEnd {
 public:
  // A preset ("mlperf-kws") or the path of a TOML file, of kind "mfcc" or
  // "audio".
  static Result<FrontEnd> open(const std::string& preset_or_path);
  FrontEnd(FrontEnd&&) noexcept;
  FrontEnd& operator=(FrontEnd&&) noexcept;
  ~FrontEnd();

  int sample_rate() const;      // Hz
  size_t clip_samples() const;  // a shorter clip is padded, a longer one cut
  size_t feature_size() const;
  // Mono samples in [-1, 1] at sample_rate(). Fails with kUsage where
  // `features` has not feature_size() elements. Does not allocate.
  Status run(std::span<const float> samples, std::span<float> features);

 private:
  struct Impl;
  explicit FrontEnd(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fieldtune
