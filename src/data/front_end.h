// What turns a file's contents into the real-valued input of a model.
//
// A front end is a preset's name or a TOML file; its canonical text is stored
// in the adapter, so that later commands need not repeat it. Quantizing the
// result for an int8 model is not done here: the model's own scale does that.
//
//   kind = "mfcc"      audio: sample_rate, clip_samples, frame_samples,
//                      hop_samples, fft_size, mel_bins, mel_low_hz,
//                      mel_high_hz, coefficients, log_floor, normalize = "max"
//                      or "none"; a key left out has its mlperf-kws value
//   kind = "audio"     the waveform: sample_rate, clip_samples, normalize
//   kind = "array"     arrays and images: feature = x * scale + offset
//   kind = "windows"   time series: history, horizon, stride, columns, targets,
//                      standardize, mean, sd (see windows.h)
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/windows.h"
#include "kernels/mfcc/mfcc.h"

namespace ft {

struct FrontEnd {
  enum class Kind { kArray, kMfcc, kAudio, kWindows };

  Kind kind = Kind::kArray;
  float scale = 1, offset = 0;                 // kArray
  ft_mfcc_config mfcc = ft_mfcc_mlperf_kws();  // kMfcc; kAudio: its first keys
  WindowConfig windows;                        // kWindows

  bool takes_audio() const {
    return kind == Kind::kMfcc || kind == Kind::kAudio;
  }
};

// "mlperf-kws", "raw" (also "none"), "unit-image" (x / 255), or the path of a
// TOML file.
Result<FrontEnd> load_front_end(const std::string& preset_or_path);

// `where` (a file name) and the line stand in front of every error.
Result<FrontEnd> front_end_from_toml(std::string_view text,
                                     std::string_view where);

// TOML that front_end_from_toml reads back to the same front end; equal front
// ends give equal text.
std::string to_toml(const FrontEnd& front_end);

// The shape of one clip's features; takes_audio() only.
std::vector<int64_t> audio_feature_shape(const FrontEnd& front_end);

// Computes the features of clips. Owns tables and scratch, so one per thread;
// run() does not allocate.
class FeatureExtractor {
 public:
  explicit FeatureExtractor(const FrontEnd& front_end);  // takes_audio()
  // Moving keeps the tables where mfcc_ points; a copy would not.
  FeatureExtractor(FeatureExtractor&&) = default;
  FeatureExtractor& operator=(FeatureExtractor&&) = default;

  // `audio` is at the front end's sample rate.
  void run(std::span<const float> audio, std::span<float> features);

 private:
  FrontEnd::Kind kind_;
  ft_mfcc mfcc_{};
  std::vector<float> tables_, scratch_;
};

}  // namespace ft
