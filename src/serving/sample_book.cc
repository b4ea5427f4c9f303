#include "serving/sample_book.h"

#include <utility>

namespace ft {

// Of every 1 / held_back samples one, at a place drawn at random: held back
// ones are as many as they should be from the beginning, and of all times.
void SampleBook::add(std::span<const float> features, int32_t label) {
  const size_t sample = size();
  features_.insert(features_.end(), features.begin(), features.end());
  labels_.push_back(label);
  const double due = held_back_ * static_cast<double>(sample + 1) -
                     static_cast<double>(kept_.size());
  const bool keep = due >= 1 || split_.uniform(sample) < due;
  (keep ? kept_ : learned_).push_back(sample);
}

// Fisher-Yates; a round begins anew when samples were added.
size_t SampleBook::drawn(uint64_t draw) {
  const size_t count = learned_.size();
  const uint64_t round = draw / count;
  if (round != round_of_ || round_.size() != count) {
    round_of_ = round;
    round_ = learned_;
    for (size_t i = count; i > 1; --i)
      std::swap(
          round_[i - 1],
          round_[order_.below((round << 32) + i, static_cast<uint32_t>(i))]);
  }
  return round_[draw % count];
}

}  // namespace ft
