#include "cli/demo/speech.h"

#include <fmt/format.h>
#include <sndfile.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>

#include "base/random.h"
#include "cli/demo/process.h"
#include "data/parallel.h"
#include "data/wav.h"

namespace ft::cli {
namespace {

// The speaker. Neither the accent nor the voice is in the base model's
// training; words a minute and pitch (0 to 99) vary from take to take.
constexpr const char* kVoice = "en-gb-scotland+anika";
constexpr uint32_t kSlowest = 105, kFastest = 175;
constexpr uint32_t kLowest = 45, kHighest = 85;
constexpr float kMinSnrDb = 4, kMaxSnrDb = 20;
constexpr float kMaxDelaySeconds = 0.2f;

struct Take {
  std::string word, path;
  uint64_t number = 0;  // among all takes; where its random draws start
};

// The draws of one take; each has its own counters.
class Dice {
 public:
  Dice(uint64_t seed, uint64_t take)
      : choices_(seed, "demo/choices"),
        noise_(seed, "demo/noise"),
        first_(take << 32) {}
  uint32_t between(uint32_t low, uint32_t high) {
    return low + choices_.below(first_ + next_++, high - low + 1);
  }
  float uniform(float low, float high) {
    return low + (high - low) * choices_.uniform(first_ + next_++);
  }
  float noise(size_t sample) const { return noise_.normal(first_ + sample); }

 private:
  Random choices_, noise_;
  uint64_t first_, next_ = 0;
};

double power_of(const std::vector<float>& x) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * v;
  return sum / static_cast<double>(std::max<size_t>(x.size(), 1));
}

// The silence that espeak-ng leaves behind a word would thin out its power.
void trim(std::vector<float>& x) {
  float peak = 0;
  for (const float v : x) peak = std::max(peak, std::fabs(v));
  const auto loud = [&](float v) { return std::fabs(v) > 0.01f * peak; };
  x.erase(std::find_if(x.rbegin(), x.rend(), loud).base(), x.end());
  x.erase(x.begin(), std::ranges::find_if(x, loud));
}

// One second: a pause, the word, and noise all through.
std::vector<float> in_a_noisy_room(std::vector<float> word, int rate,
                                   Dice& dice) {
  trim(word);
  const double power = power_of(word);
  const float snr_db = dice.uniform(kMinSnrDb, kMaxSnrDb);
  const auto level = static_cast<float>(
      std::sqrt(power * std::pow(10.0, -static_cast<double>(snr_db) / 10)));
  const auto delay = static_cast<size_t>(static_cast<float>(rate) *
                                         dice.uniform(0, kMaxDelaySeconds));
  std::vector<float> out(
      std::max(static_cast<size_t>(rate), delay + word.size()), 0.0f);
  std::ranges::copy(word, out.begin() + static_cast<ptrdiff_t>(delay));
  float peak = 1e-6f;
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] += level * dice.noise(i);
    peak = std::max(peak, std::fabs(out[i]));
  }
  for (float& v : out) v *= 0.9f / peak;  // never clips
  return out;
}

Status write_wav(const std::string& path, int rate,
                 const std::vector<float>& samples) {
  SF_INFO info{};
  info.samplerate = rate;
  info.channels = 1;
  info.format = SF_FORMAT_WAV | SF_FORMAT_PCM_16;
  const std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> file(
      sf_open(path.c_str(), SFM_WRITE, &info), sf_close);
  const auto count = static_cast<sf_count_t>(samples.size());
  if (!file || sf_write_float(file.get(), samples.data(), count) != count)
    return io_error(
        fmt::format("cannot write '{}': {}", path, sf_strerror(file.get())));
  return ok_status();
}

Status record(const SpeechPlan& plan, const Take& take) {
  Dice dice(plan.seed, take.number);
  const uint32_t speed = dice.between(kSlowest, kFastest);
  const uint32_t pitch = dice.between(kLowest, kHighest);
  FT_TRY_STATUS(
      run_process({plan.program, "-v", kVoice, "-s", std::to_string(speed),
                   "-p", std::to_string(pitch), "-w", take.path, take.word},
                  "the demo speaks with espeak-ng; install it with "
                  "'apt-get install espeak-ng'"));
  FT_TRY(Audio audio, read_audio(take.path));
  return write_wav(
      take.path, audio.sample_rate,
      in_a_noisy_room(std::move(audio.samples), audio.sample_rate, dice));
}

Result<std::vector<Take>> all_takes(const SpeechPlan& plan) {
  std::vector<Take> takes;
  for (const auto* words : {&known_words(), &new_words()})
    for (const std::string& word : *words) {
      const std::string folder = plan.folder + "/" + word;
      std::error_code error;
      std::filesystem::create_directories(folder, error);
      if (error)
        return io_error(fmt::format("cannot make the folder '{}': {}", folder,
                                    error.message()));
      for (size_t t = 0; t < plan.takes; ++t)
        takes.push_back({.word = word,
                         .path = fmt::format("{}/{:02}.wav", folder, t),
                         .number = takes.size()});
    }
  return takes;
}

}  // namespace

const std::vector<std::string>& base_classes() {
  static const std::vector<std::string> classes = {
      "yes",   "no", "up",  "down",    "left",
      "right", "on", "off", "silence", "unknown"};
  return classes;
}

const std::vector<std::string>& known_words() {
  static const std::vector<std::string> words(base_classes().begin(),
                                              base_classes().end() - 2);
  return words;
}

const std::vector<std::string>& new_words() {
  static const std::vector<std::string> words = {"lamp", "music", "heating",
                                                 "curtain"};
  return words;
}

Status synthesize_demo_speech(const SpeechPlan& plan,
                              const std::function<void(size_t)>& progress) {
  FT_TRY(const std::vector<Take> takes, all_takes(plan));
  std::mutex mutex;
  Status failed;  // the first failure; the others stop early
  size_t done = 0;
  parallel_for(takes.size(), plan.threads, [&](size_t i, size_t) {
    {
      const std::lock_guard lock(mutex);
      if (!failed.ok()) return;
    }
    Status status = record(plan, takes[i]);
    const std::lock_guard lock(mutex);
    if (!status.ok() && failed.ok()) failed = std::move(status);
    if (progress) progress(++done);
  });
  return failed;
}

}  // namespace ft::cli
