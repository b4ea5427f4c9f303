// Labeled samples that come one by one, some of them held back to judge by, and
// the order in which the others are learned from.
//
// Which ones are held back and in which order the others come depends on the
// seed and on their number alone. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"

namespace ft {

class SampleBook {
 public:
  // Of `feature_size` numbers each.
  SampleBook(size_t feature_size, double held_back, uint64_t seed)
      : feature_size_(feature_size),
        held_back_(held_back),
        split_(seed, "held back"),
        order_(seed, "background order") {}

  void add(std::span<const float> features, int32_t label);

  size_t size() const { return labels_.size(); }
  std::span<const size_t> held_back() const { return kept_; }
  std::span<const size_t> to_learn() const { return learned_; }
  std::span<const float> features(size_t sample) const {
    return std::span(features_).subspan(sample * feature_size_, feature_size_);
  }
  int32_t label(size_t sample) const { return labels_[sample]; }

  // The `draw`-th sample to learn from, of those that are there now: each once
  // before any of them again while none is added.
  size_t drawn(uint64_t draw);

 private:
  size_t feature_size_;
  double held_back_;
  Random split_, order_;
  std::vector<float> features_;
  std::vector<int32_t> labels_;
  std::vector<size_t> kept_, learned_;
  std::vector<size_t> round_;  // learned_ in the order of a round
  uint64_t round_of_ = UINT64_MAX;
};

}  // namespace ft
