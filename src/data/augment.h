// Training-time variations of a data set: noise and time shift.
//
// Counter-based: the variation of (sample, epoch) is a function of the seed
// only, so resuming, threads and sample order cannot change it. Clips are
// varied before their features are computed; other data at the features.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/dataset.h"

namespace ft {

struct AugmentConfig {
  bool noise = false;  // white, at a signal-to-noise ratio drawn evenly from
  float snr_db_low = 0, snr_db_high = 0;  // this range
  // Largest shift either way as a part of the clip, or of the rows (first axis)
  // of the features; drawn evenly.
  float max_shift = 0;

  bool any() const { return noise || max_shift > 0; }
};

// "noise=10:30,shift=0.1", each part optional; "none".
Result<AugmentConfig> parse_augment(std::string_view text);
std::string to_string(const AugmentConfig& config);

// Gives the features of (sample, epoch) on demand. Not thread-safe: one per
// thread. `data` must outlive it and, if the front end takes audio, hold it.
class AugmentedFeatures {
 public:
  static Result<AugmentedFeatures> make(const Dataset& data,
                                        const AugmentConfig& config,
                                        uint64_t seed);

  // Writes feature_size values; allocates nothing. With nothing to vary, the
  // data set's own features. sample and epoch below 2^32.
  void features(size_t sample, uint64_t epoch, std::span<float> out);

 private:
  AugmentedFeatures(const Dataset& data, const AugmentConfig& config,
                    uint64_t seed)
      : data_(&data), config_(config), seed_(seed) {}
  void vary(std::span<const float> source, size_t sample, uint64_t epoch,
            std::span<float> x) const;

  const Dataset* data_;
  AugmentConfig config_;
  uint64_t seed_;
  std::vector<FeatureExtractor> extractor_;  // one for audio, else none
  std::vector<float> clip_;                  // the varied audio
};

}  // namespace ft
