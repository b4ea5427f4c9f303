// Audio files as mono float samples, at any sample rate.
//
// Whatever libsndfile reads (WAV, FLAC, Ogg, MP3, AIFF, ...). The resampled
// values come from libsamplerate: equal on equal machines, but not promised to
// be bit-equal between instruction sets. Not for features (see front_end.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ft {

struct Audio {
  int sample_rate = 0;         // Hz
  std::vector<float> samples;  // mono, nominally [-1, 1)
};

// True for the file name endings that libsndfile is given.
bool is_audio_name(std::string_view file_name);

// Refuses, naming the file: unreadable, more than one channel, no samples,
// more than 2^28 samples, samples that are not finite numbers.
Result<Audio> read_audio(const std::string& path);

// Windowed-sinc resampling; a copy where the rates agree.
Result<std::vector<float>> resample(const Audio& audio, int sample_rate);

}  // namespace ft
