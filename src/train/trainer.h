// The training loop: shuffling, steps, validation, early stop, keeping the best
// adapter, and stopping so that it can go on later.
//
// Deterministic: everything depends on the settings, the data and the seed
// only. After each epoch the parameters are kept if they are the best so far,
// by validation loss where there is validation data, else by training loss. A
// method may say from which update on epochs can be compared.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "exec/session.h"
#include "train/evaluate.h"
#include "train/optimizer.h"
#include "train/samples.h"

namespace ft {

struct TrainSettings {
  int epochs = 30;
  uint64_t seed = 0;
  int patience = 0;     // epochs without improvement before stopping; 0: never
  bool shuffle = true;  // false: samples in their own order, every epoch
  // Epochs that end before so many updates are not compared with others: the
  // next one takes their place (MethodDef::first_result).
  int64_t first_result = 0;
  OptimizerSettings optimizer;
};

struct EpochRecord {
  int epoch = 0;
  double train_loss = 0;
  double val_loss = 0;      // NaN without validation data
  double val_accuracy = 0;  // NaN without labels
};

// Everything that a resumed run needs besides the persistent region.
struct TrainState {
  int64_t step = 0;  // steps done
  double epoch_loss_sum = 0;
  int best_epoch = -1;
  double best_loss = 0;
  int epochs_without_gain = 0;
  std::vector<std::byte> best_params;  // the parameters' part of the region
  std::vector<EpochRecord> history;
  // Range of the answers so far, where no one can look at the samples again.
  double answer_low = 0, answer_high = 0;
};

struct Progress {
  int64_t step, total_steps;
  int epoch;
  double loss;  // of this step
};

enum class StopReason { kFinished, kPatience, kInterrupted, kDiverged };

// Updates that a training of so many samples makes.
int64_t count_updates(size_t samples, size_t batch, int64_t accumulate,
                      int epochs);

class Trainer {
 public:
  // `train` runs a program of compile_training(), `validation` (may be empty)
  // programs of compile_inference() on the same persistent region.
  Trainer(Session& train, std::span<Session> validation, const Samples& samples,
          std::vector<size_t> train_indices, std::vector<size_t> val_indices,
          Task task, TrainSettings settings);

  // Samples a run must have at least one batch; checks sizes and labels.
  Status check() const;

  // Trains until done or `keep_going` (called before each step) says false.
  // When the loss is not finite, or exceeds 1e4 times the first epoch's
  // average, the step's effects are dropped: kDiverged, and message() says at
  // which step. On every return but kInterrupted the parameters are the best.
  Result<StopReason> run(
      const std::function<bool(const Progress&)>& keep_going);

  const TrainState& state() const { return state_; }
  const std::string& message() const { return message_; }
  int64_t total_steps() const { return steps_per_epoch_ * settings_.epochs; }
  void resume(TrainState state) { state_ = std::move(state); }
  double last_loss() const { return last_loss_; }
  size_t batch() const { return batch_; }

 private:
  void start_epoch(int epoch);
  void feed(size_t first);
  void run_step();
  bool diverged() const;
  Status finish_epoch();
  void keep_best(double loss);
  bool counts(int epoch) const;
  void restore_best();
  std::span<std::byte> params();

  Session& session_;
  std::span<Session> validation_;
  const Samples& samples_;
  std::vector<size_t> train_indices_, val_indices_;
  Task task_;
  TrainSettings settings_;
  size_t batch_;
  int64_t steps_per_epoch_;
  size_t params_bytes_ = 0;
  TrainState state_;
  std::vector<size_t> order_;  // of this epoch
  std::vector<float> features_;
  double last_loss_ = 0;
  std::string message_;
};

}  // namespace ft
