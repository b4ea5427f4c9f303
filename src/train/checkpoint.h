// Stopping a training run, or losing power in the middle of it, and going on
// later with equal bits.
//
// A checkpoint lies in up to three safetensors files, so that a save writes
// only what has changed since the one before:
//   PATH          persistent region (adapter and the optimizer's state) and
//                 under 1 KB of counters: every time
//   PATH.best-E   the parameters after epoch E, the best so far: when there is
//                 a new best
//   PATH.history  what each epoch came to, 32 bytes each: when one has ended
// PATH is written last and names the others, each file whole or not at all: at
// any moment the checkpoint is the old one or the new one. It belongs to one
// compiled program and one set of settings, named by a fingerprint, and is
// refused elsewhere. Random numbers need no state: they are functions of seed
// and counters.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "train/trainer.h"

namespace ft {

class CheckpointWriter {
 public:
  CheckpointWriter(std::string path, std::string fingerprint)
      : path_(std::move(path)), fingerprint_(std::move(fingerprint)) {}

  Status save(std::span<const std::byte> persistent, const TrainState& state);

 private:
  Status discard_another_runs(const TrainState& state);
  Status write_best(const TrainState& state);
  Status write_history(const TrainState& state);

  std::string path_, fingerprint_;
  // What lies there already, by this writer's hand.
  int best_epoch_ = -1;
  size_t epochs_ = 0;
  bool looked_ = false;  // at what lay there before
};

// Restores `persistent` in place and returns the state.
Result<TrainState> load_checkpoint(const std::string& path,
                                   const std::string& fingerprint,
                                   std::span<std::byte> persistent);

// Its files are gone afterwards, from disk too; they need not have been there.
Status remove_checkpoint(const std::string& path);

}  // namespace ft
