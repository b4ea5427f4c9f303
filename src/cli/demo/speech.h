// The demo's user: recordings made by espeak-ng, with noise added here.
//
// One speaker whose accent, voice, speed and pitch the base model never heard
// (tools/make_demo_model_speech.py), saying words that it knows and four that
// it does not. Deterministic: one seed gives the same files wherever espeak-ng
// is the same version. Not for: training a base model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace ft::cli {

// The base model's classes in the order of its answers: eight words, silence
// and unknown words.
const std::vector<std::string>& base_classes();
// Of those, the words that the user says too.
const std::vector<std::string>& known_words();
const std::vector<std::string>& new_words();

struct SpeechPlan {
  std::string folder;  // gets <word>/<take>.wav
  size_t takes = 30;   // of each word
  std::string program = "espeak-ng";
  size_t threads = 2;
  uint64_t seed = 1;
};

// Writes the recordings (22,050 Hz, mono, 16 bits). `progress` is told how many
// are done, from one thread at a time. Fails with kIo, saying how to install
// it, where espeak-ng is missing.
Status synthesize_demo_speech(const SpeechPlan& plan,
                              const std::function<void(size_t)>& progress = {});

}  // namespace ft::cli
