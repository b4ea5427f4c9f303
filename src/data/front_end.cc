#include "data/front_end.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/toml_table.h"

namespace ft {
namespace {

void read_normalize(TomlTable& table, int32_t& normalize) {
  std::string text = normalize == FT_AUDIO_DIVIDE_BY_MAX ? "max" : "none";
  table.read("normalize", text);
  if (text != "max" && text != "none")
    table.refuse("normalize", "'normalize' must be \"max\" or \"none\"");
  normalize = text == "max" ? FT_AUDIO_DIVIDE_BY_MAX : FT_AUDIO_AS_IS;
}

void read_mfcc(TomlTable& table, ft_mfcc_config& c) {
  table.read("sample_rate", c.sample_rate);
  table.read("clip_samples", c.clip_samples);
  table.read("frame_samples", c.frame_samples);
  table.read("hop_samples", c.hop_samples);
  table.read("fft_size", c.fft_size);
  table.read("mel_bins", c.mel_bins);
  table.read("mel_low_hz", c.mel_low_hz);
  table.read("mel_high_hz", c.mel_high_hz);
  table.read("coefficients", c.coefficients);
  table.read("log_floor", c.log_floor);
  read_normalize(table, c.normalize);
  // The sentences of ft_mfcc_check start with the key.
  if (const char* why = ft_mfcc_check(&c)) {
    const std::string_view sentence = why;
    table.refuse(sentence.substr(0, sentence.find(' ')), sentence);
  }
}

void read_audio_clip(TomlTable& table, ft_mfcc_config& c) {
  table.read("sample_rate", c.sample_rate);
  table.read("clip_samples", c.clip_samples);
  read_normalize(table, c.normalize);
  if (c.sample_rate < 1 || c.sample_rate > 1'000'000)
    table.refuse("sample_rate", "sample_rate must be 1 to 1000000 Hz");
  if (c.clip_samples < 1 || c.clip_samples > 1 << 26)
    table.refuse("clip_samples", "clip_samples must be 1 to 67108864");
}

void read_windows(TomlTable& table, WindowConfig& c) {
  table.read("history", c.history);
  table.read("horizon", c.horizon);
  table.read("stride", c.stride);
  table.read("columns", c.columns);
  table.read("targets", c.targets);
  table.read("standardize", c.standardize);
  table.read("mean", c.mean);
  table.read("sd", c.sd);
  const std::string why = window_config_error(c);
  if (!why.empty()) table.refuse(why.substr(0, why.find(' ')), why);
}

// A TOML basic string; column names may hold anything.
std::string toml_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\u{:04X}", byte);
    else
      out += c;
  }
  return out + '"';
}

std::string list_text(std::span<const std::string> items) {
  std::vector<std::string> texts;
  for (const std::string& item : items) texts.push_back(toml_quoted(item));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

// The shortest text that reads back to the same float. TOML wants digits on
// both sides of a point and fmt gives "1" for 1.0f, which is read as a number
// all the same.
std::string list_text(std::span<const float> items) {
  return fmt::format("[{}]", fmt::join(items, ", "));
}

std::string audio_text(const ft_mfcc_config& c) {
  return fmt::format(
      "sample_rate = {}\nclip_samples = {}\nnormalize = \"{}\"\n",
      c.sample_rate, c.clip_samples,
      c.normalize == FT_AUDIO_DIVIDE_BY_MAX ? "max" : "none");
}

std::string mfcc_text(const ft_mfcc_config& c) {
  return audio_text(c) +
         fmt::format(
             "frame_samples = {}\nhop_samples = {}\nfft_size = {}\n"
             "mel_bins = {}\nmel_low_hz = {}\nmel_high_hz = {}\n"
             "coefficients = {}\nlog_floor = {}\n",
             c.frame_samples, c.hop_samples, c.fft_size, c.mel_bins,
             c.mel_low_hz, c.mel_high_hz, c.coefficients, c.log_floor);
}

std::string windows_text(const WindowConfig& c) {
  return fmt::format(
      "history = {}\nhorizon = {}\nstride = {}\ncolumns = {}\ntargets = {}\n"
      "standardize = {}\nmean = {}\nsd = {}\n",
      c.history, c.horizon, c.stride, list_text(c.columns),
      list_text(c.targets), c.standardize, list_text(c.mean), list_text(c.sd));
}

}  // namespace

Result<FrontEnd> load_front_end(const std::string& preset_or_path) {
  FrontEnd out;
  if (preset_or_path == "raw" || preset_or_path == "none") return out;
  if (preset_or_path == "mlperf-kws") {
    out.kind = FrontEnd::Kind::kMfcc;
    return out;
  }
  if (preset_or_path == "unit-image") {
    out.scale = 1.0f / 255.0f;
    return out;
  }
  std::error_code ignored;
  if (!std::filesystem::exists(preset_or_path, ignored))
    return usage_error(fmt::format(
        "front end '{}' is neither a preset (mlperf-kws, raw, none, "
        "unit-image) nor a TOML file",
        preset_or_path));
  FT_TRY(const std::string text, read_text_file(preset_or_path));
  return front_end_from_toml(text, preset_or_path);
}

Result<FrontEnd> front_end_from_toml(std::string_view text,
                                     std::string_view where) {
  FT_TRY(const TomlFile file, TomlFile::parse(text, where));
  TomlTable table = file.root();
  FrontEnd out;
  std::string kind;
  table.read("kind", kind);
  if (kind == "mfcc") {
    out.kind = FrontEnd::Kind::kMfcc;
    read_mfcc(table, out.mfcc);
  } else if (kind == "audio") {
    out.kind = FrontEnd::Kind::kAudio;
    read_audio_clip(table, out.mfcc);
  } else if (kind == "array") {
    table.read("scale", out.scale);
    table.read("offset", out.offset);
  } else if (kind == "windows") {
    out.kind = FrontEnd::Kind::kWindows;
    read_windows(table, out.windows);
  } else {
    table.refuse(
        "kind", "'kind' must be \"mfcc\", \"audio\", \"array\" or \"windows\"");
  }
  table.done();
  FT_TRY_STATUS(file.status());
  return out;
}

std::string to_toml(const FrontEnd& f) {
  switch (f.kind) {
    case FrontEnd::Kind::kMfcc: return "kind = \"mfcc\"\n" + mfcc_text(f.mfcc);
    case FrontEnd::Kind::kAudio:
      return "kind = \"audio\"\n" + audio_text(f.mfcc);
    case FrontEnd::Kind::kWindows:
      return "kind = \"windows\"\n" + windows_text(f.windows);
    case FrontEnd::Kind::kArray: break;
  }
  return fmt::format("kind = \"array\"\nscale = {}\noffset = {}\n", f.scale,
                     f.offset);
}

std::vector<int64_t> audio_feature_shape(const FrontEnd& f) {
  if (f.kind == FrontEnd::Kind::kAudio) return {f.mfcc.clip_samples};
  return {ft_mfcc_frames(&f.mfcc), f.mfcc.coefficients};
}

FeatureExtractor::FeatureExtractor(const FrontEnd& front_end)
    : kind_(front_end.kind) {
  FT_CHECK(front_end.takes_audio());
  mfcc_.config = front_end.mfcc;
  if (kind_ == FrontEnd::Kind::kAudio) return;
  tables_.resize(ft_mfcc_table_floats(&front_end.mfcc));
  scratch_.resize(ft_mfcc_scratch_floats(&front_end.mfcc));
  ft_mfcc_init(&front_end.mfcc, tables_.data(), &mfcc_);
}

void FeatureExtractor::run(std::span<const float> audio,
                           std::span<float> features) {
  if (kind_ == FrontEnd::Kind::kMfcc) {
    ft_mfcc_run(&mfcc_, audio.data(), audio.size(), features.data(),
                scratch_.data());
    return;
  }
  const size_t used = std::min(audio.size(), features.size());
  const float scale = mfcc_.config.normalize == FT_AUDIO_DIVIDE_BY_MAX
                          ? ft_audio_max_scale(audio.data(), used)
                          : 1.0f;
  for (size_t i = 0; i < features.size(); ++i)
    features[i] = i < used ? audio[i] * scale : 0.0f;
}

}  // namespace ft
