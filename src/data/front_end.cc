#include "data/front_end.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <set>

#include "base/file.h"
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace ft {
namespace {

// Takes known keys out of a TOML table; the first wrong one becomes the error.
class TomlReader {
 public:
  TomlReader(const toml::table& table, std::string_view where)
      : table_(table), where_(where) {}

  void read(std::string_view key, int32_t& out) {
    take(key, "a whole number", [&](const toml::node& node) {
      const auto value = node.value_exact<int64_t>();
      constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
      if (!value || *value < -kMax || *value > kMax) return false;
      out = static_cast<int32_t>(*value);
      return true;
    });
  }
  void read(std::string_view key, float& out) {
    take(key, "a number",
         [&](const toml::node& node) { return number(node, out); });
  }
  void read(std::string_view key, bool& out) {
    take(key, "true or false", [&](const toml::node& node) {
      const auto value = node.value_exact<bool>();
      if (value) out = *value;
      return value.has_value();
    });
  }
  void read(std::string_view key, std::string& out) {
    take(key, "text", [&](const toml::node& node) { return text(node, out); });
  }
  void read(std::string_view key, std::vector<std::string>& out) {
    take(key, "a list of texts",
         [&](const toml::node& node) { return list(node, out, text); });
  }
  void read(std::string_view key, std::vector<float>& out) {
    take(key, "a list of numbers",
         [&](const toml::node& node) { return list(node, out, number); });
  }

  // Error at the line of `key`, or of the file if it has no such key.
  void fail(std::string_view key, std::string_view why) {
    if (!status_.ok()) return;
    const toml::node* node = table_.get(key);
    const auto line = node == nullptr ? 1 : node->source().begin.line;
    status_ = invalid_input(fmt::format("{}:{}: {}", where_, line, why));
  }

  // Unknown keys are errors too: a misspelt setting must not be ignored.
  Status finish() {
    for (const auto& [key, node] : table_)
      if (!known_.contains(key.str()))
        fail(key.str(), fmt::format("unknown key '{}'", key.str()));
    return status_;
  }

 private:
  template <class Fn>
  void take(std::string_view key, std::string_view expected, const Fn& fn) {
    known_.emplace(key);
    const toml::node* node = table_.get(key);
    if (node != nullptr && !fn(*node))
      fail(key, fmt::format("'{}' must be {}", key, expected));
  }
  static bool number(const toml::node& node, float& out) {
    if (!node.is_number()) return false;
    out = static_cast<float>(node.value<double>().value_or(0.0));
    return std::isfinite(out);
  }
  static bool text(const toml::node& node, std::string& out) {
    const auto value = node.value_exact<std::string>();
    if (value) out = *value;
    return value.has_value();
  }
  template <class T, class Fn>
  static bool list(const toml::node& node, std::vector<T>& out, const Fn& fn) {
    const toml::array* array = node.as_array();
    if (array == nullptr) return false;
    for (const toml::node& item : *array)
      if (!fn(item, out.emplace_back())) return false;
    return true;
  }

  const toml::table& table_;
  std::string_view where_;
  std::set<std::string, std::less<>> known_;
  Status status_;
};

void read_normalize(TomlReader& reader, int32_t& normalize) {
  std::string text = normalize == FT_AUDIO_DIVIDE_BY_MAX ? "max" : "none";
  reader.read("normalize", text);
  if (text != "max" && text != "none")
    reader.fail("normalize", "'normalize' must be \"max\" or \"none\"");
  normalize = text == "max" ? FT_AUDIO_DIVIDE_BY_MAX : FT_AUDIO_AS_IS;
}

void read_mfcc(TomlReader& reader, ft_mfcc_config& c) {
  reader.read("sample_rate", c.sample_rate);
  reader.read("clip_samples", c.clip_samples);
  reader.read("frame_samples", c.frame_samples);
  reader.read("hop_samples", c.hop_samples);
  reader.read("fft_size", c.fft_size);
  reader.read("mel_bins", c.mel_bins);
  reader.read("mel_low_hz", c.mel_low_hz);
  reader.read("mel_high_hz", c.mel_high_hz);
  reader.read("coefficients", c.coefficients);
  reader.read("log_floor", c.log_floor);
  read_normalize(reader, c.normalize);
  // The sentences of ft_mfcc_check start with the key.
  if (const char* why = ft_mfcc_check(&c)) {
    const std::string_view sentence = why;
    reader.fail(sentence.substr(0, sentence.find(' ')), sentence);
  }
}

void read_audio_clip(TomlReader& reader, ft_mfcc_config& c) {
  reader.read("sample_rate", c.sample_rate);
  reader.read("clip_samples", c.clip_samples);
  read_normalize(reader, c.normalize);
  if (c.sample_rate < 1 || c.sample_rate > 1'000'000)
    reader.fail("sample_rate", "sample_rate must be 1 to 1000000 Hz");
  if (c.clip_samples < 1 || c.clip_samples > 1 << 26)
    reader.fail("clip_samples", "clip_samples must be 1 to 67108864");
}

void read_windows(TomlReader& reader, WindowConfig& c) {
  reader.read("history", c.history);
  reader.read("horizon", c.horizon);
  reader.read("stride", c.stride);
  reader.read("columns", c.columns);
  reader.read("targets", c.targets);
  reader.read("standardize", c.standardize);
  reader.read("mean", c.mean);
  reader.read("sd", c.sd);
  const std::string why = window_config_error(c);
  if (!why.empty()) reader.fail(why.substr(0, why.find(' ')), why);
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
  const toml::parse_result parsed = toml::parse(text, where);
  if (!parsed)
    return invalid_input(fmt::format("{}:{}: {}", where,
                                     parsed.error().source().begin.line,
                                     parsed.error().description()));
  TomlReader reader(parsed.table(), where);
  FrontEnd out;
  std::string kind;
  reader.read("kind", kind);
  if (kind == "mfcc") {
    out.kind = FrontEnd::Kind::kMfcc;
    read_mfcc(reader, out.mfcc);
  } else if (kind == "audio") {
    out.kind = FrontEnd::Kind::kAudio;
    read_audio_clip(reader, out.mfcc);
  } else if (kind == "array") {
    reader.read("scale", out.scale);
    reader.read("offset", out.offset);
  } else if (kind == "windows") {
    out.kind = FrontEnd::Kind::kWindows;
    read_windows(reader, out.windows);
  } else {
    reader.fail("kind",
                "'kind' must be \"mfcc\", \"audio\", \"array\" or \"windows\"");
  }
  FT_TRY_STATUS(reader.finish());
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
