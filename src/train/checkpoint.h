// Stopping a training run and going on later, with equal bits.
//
// A checkpoint is one safetensors file: the persistent region, the best
// parameters so far, and the counters. It belongs to one compiled program and
// one set of settings, named by a fingerprint, and is refused elsewhere.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "train/trainer.h"

namespace ft {

Status save_checkpoint(const std::string& path, const std::string& fingerprint,
                       std::span<const std::byte> persistent,
                       const TrainState& state);

// Restores `persistent` in place and returns the state.
Result<TrainState> load_checkpoint(const std::string& path,
                                   const std::string& fingerprint,
                                   std::span<std::byte> persistent);

}  // namespace ft
