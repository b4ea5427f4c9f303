#include "data/augment.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/random.h"
#include "kernels/math/ft_math.h"

namespace ft {
namespace {

constexpr float kLn10Over20 = 0.115129254649702f;

std::optional<float> number(std::string_view text) {
  float value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() ||
      !std::isfinite(value))
    return std::nullopt;
  return value;
}

bool read_part(std::string_view part, AugmentConfig& config) {
  if (part == "none") return true;
  if (part.starts_with("shift=")) {
    const auto shift = number(part.substr(6));
    if (!shift || *shift < 0 || *shift > 1) return false;
    config.max_shift = *shift;
    return true;
  }
  if (!part.starts_with("noise=")) return false;
  part.remove_prefix(6);
  const size_t colon = part.find(':');
  const auto low = number(part.substr(0, colon));
  const auto high =
      colon == std::string_view::npos ? low : number(part.substr(colon + 1));
  if (!low || !high || *low > *high || *low < -60 || *high > 120) return false;
  config.noise = true;
  config.snr_db_low = *low;
  config.snr_db_high = *high;
  return true;
}

float root_mean_square(std::span<const float> x) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v) * v;
  return static_cast<float>(std::sqrt(sum / static_cast<double>(x.size())));
}

// Independent draws of one sample in one epoch.
uint64_t stream_of(std::string_view use, size_t sample, uint64_t epoch) {
  return stream_id(use) ^ (static_cast<uint64_t>(sample) << 32 ^ epoch);
}

// Moves rows of `width` values by `shift` rows, later if positive, and repeats
// the edge row in the gap.
void shift_rows(std::span<float> x, size_t width, ptrdiff_t shift) {
  const auto rows = static_cast<ptrdiff_t>(x.size() / width);
  const auto move_row = [&](ptrdiff_t to) {
    const ptrdiff_t from = std::clamp<ptrdiff_t>(to - shift, 0, rows - 1);
    std::copy_n(x.data() + from * static_cast<ptrdiff_t>(width), width,
                x.data() + to * static_cast<ptrdiff_t>(width));
  };
  // Away from the rows that are still to be read.
  if (shift > 0)
    for (ptrdiff_t to = rows - 1; to > 0; --to) move_row(to);
  else
    for (ptrdiff_t to = 0; to < rows - 1; ++to) move_row(to);
}

// Moves a waveform later if positive; silence fills the gap.
void shift_audio(std::span<float> x, ptrdiff_t shift) {
  if (shift > 0) {
    std::move_backward(x.begin(), x.end() - shift, x.end());
    std::fill(x.begin(), x.begin() + shift, 0.0f);
  } else {
    std::move(x.begin() - shift, x.end(), x.begin());
    std::fill(x.end() + shift, x.end(), 0.0f);
  }
}

}  // namespace

Result<AugmentConfig> parse_augment(std::string_view text) {
  AugmentConfig config;
  for (std::string_view rest = text;;) {
    const size_t comma = std::min(rest.find(','), rest.size());
    if (!read_part(rest.substr(0, comma), config))
      return usage_error(fmt::format(
          "augmentation '{}' is not like noise=10:30,shift=0.1 (decibels in "
          "[-60, 120], part of the length in [0, 1]) or none",
          text));
    if (comma == rest.size()) return config;
    rest.remove_prefix(comma + 1);
  }
}

std::string to_string(const AugmentConfig& config) {
  if (!config.any()) return "none";
  std::string out;
  if (config.noise)
    out = fmt::format("noise={}:{}", config.snr_db_low, config.snr_db_high);
  if (config.max_shift > 0)
    out += fmt::format("{}shift={}", out.empty() ? "" : ",", config.max_shift);
  return out;
}

Result<AugmentedFeatures> AugmentedFeatures::make(const Dataset& data,
                                                  const AugmentConfig& config,
                                                  uint64_t seed) {
  AugmentedFeatures out(data, config, seed);
  if (!config.any() || !data.front_end.takes_audio()) return out;
  if (data.audio.size() != data.size())
    return usage_error(
        "augmenting audio needs a data set that keeps its audio");
  out.extractor_.emplace_back(data.front_end);
  out.clip_.resize(static_cast<size_t>(data.front_end.mfcc.clip_samples));
  return out;
}

// `source` is what the noise is measured against; its silent padding is not.
void AugmentedFeatures::vary(std::span<const float> source, size_t sample,
                             uint64_t epoch, std::span<float> x) const {
  const Random choice(seed_, stream_of("augment choice", sample, epoch));
  if (config_.max_shift > 0) {
    const bool audio = !extractor_.empty();
    const size_t rows =
        audio ? x.size() : static_cast<size_t>(data_->feature_shape.front());
    const float draw = (2 * choice.uniform(0) - 1) * config_.max_shift;
    const auto shift = static_cast<ptrdiff_t>(draw * static_cast<float>(rows));
    if (audio)
      shift_audio(x, shift);
    else
      shift_rows(x, x.size() / rows, shift);
  }
  if (!config_.noise) return;
  const float snr_db =
      config_.snr_db_low +
      (config_.snr_db_high - config_.snr_db_low) * choice.uniform(1);
  // 10^(-snr / 20), with the exponential that is equal on every machine
  const float sd = root_mean_square(source) * ft_expf(-snr_db * kLn10Over20);
  const Random random(seed_, stream_of("augment noise", sample, epoch));
  for (size_t i = 0; i < x.size(); ++i) x[i] += sd * random.normal(i);
}

void AugmentedFeatures::features(size_t sample, uint64_t epoch,
                                 std::span<float> out) {
  FT_CHECK(out.size() == data_->feature_size && sample < data_->size());
  const bool from_audio = !extractor_.empty();
  const std::span<const float> source =
      from_audio ? std::span<const float>(data_->audio[sample])
                 : data_->feature(sample);
  const std::span<float> x = from_audio ? std::span<float>(clip_) : out;
  const size_t used = std::min(source.size(), x.size());
  std::copy_n(source.begin(), used, x.begin());
  std::fill(x.begin() + static_cast<ptrdiff_t>(used), x.end(), 0.0f);
  if (config_.any()) vary(source.first(used), sample, epoch, x);
  if (from_audio) extractor_.front().run(x, out);
}

}  // namespace ft
