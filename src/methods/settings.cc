#include "methods/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "methods/method.h"

namespace ft {
namespace {

using nlohmann::json;

template <class T>
std::string pattern_json(
    const std::vector<std::pair<std::string, T>>& patterns) {
  json list = json::array();  // an array: the first match wins, order counts
  for (const auto& [name, value] : patterns)
    list.push_back(json::array({name, value}));
  return list.dump();
}

// Parsed JSON of one metadata key; null where it is absent.
Result<json> metadata_json(const std::map<std::string, std::string>& metadata,
                           const std::string& key) {
  const auto at = metadata.find(key);
  if (at == metadata.end()) return json();
  json value = json::parse(at->second, nullptr, false);
  if (value.is_discarded())
    return invalid_input(
        fmt::format("adapter metadata '{}' is malformed: {}", key, at->second));
  return value;
}

template <class T>
Status read_patterns(const json& list, const std::string& key,
                     std::vector<std::pair<std::string, T>>& out) {
  if (list.is_null()) return ok_status();
  for (const json& entry : list) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() ||
        !entry[1].is_number())
      return invalid_input("adapter metadata '" + key + "' is malformed");
    out.emplace_back(entry[0].get<std::string>(), entry[1].get<T>());
  }
  return ok_status();
}

template <class T>
Status read_number(const std::map<std::string, std::string>& metadata,
                   const std::string& key, T& out) {
  FT_TRY(const json value, metadata_json(metadata, key));
  if (value.is_null()) return ok_status();
  if (!value.is_number())
    return invalid_input("adapter metadata '" + key + "' is not a number");
  out = value.get<T>();
  return ok_status();
}

// A number that takes the whole text; NaN where it is none.
double parse_number(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && at == end && !text.empty() ? value : NAN;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

}  // namespace

Result<std::string> SettingDef::canonical(std::string_view text) const {
  const auto refuse = [&](const std::string& allowed) {
    return usage_error(
        fmt::format("{} is '{}'; it must be {}", name, text, allowed));
  };
  switch (kind) {
    case Kind::kInt:
    case Kind::kReal: {
      const double v = parse_number(text);
      if (!(v >= low && v <= high) ||
          (kind == Kind::kInt && v != std::floor(v)))
        return refuse(fmt::format(
            "{} from {} to {}",
            kind == Kind::kInt ? "a whole number" : "a number", low, high));
      return fmt::format("{}", v);
    }
    case Kind::kFlag:
      if (text != "true" && text != "false") return refuse("true or false");
      return std::string(text);
    case Kind::kWord: {
      const auto allowed = split(words, ' ');
      if (std::ranges::find(allowed, text) == allowed.end())
        return refuse(fmt::format("one of: {}", fmt::join(allowed, ", ")));
      return std::string(text);
    }
    case Kind::kList:
    case Kind::kText: return std::string(text);
  }
  return internal_error("unknown kind of setting");
}

int MethodSettings::rank_of(std::string_view module) const {
  for (const auto& [pattern, rank] : rank_pattern)
    if (matches_module(pattern, module)) return rank;
  return r;
}

double MethodSettings::alpha_of(std::string_view module) const {
  for (const auto& [pattern, alpha] : alpha_pattern)
    if (matches_module(pattern, module)) return alpha;
  return lora_alpha;
}

std::string MethodSettings::word(const SettingDef& setting) const {
  const auto at = own.find(setting.name);
  return at != own.end() ? at->second : std::string(setting.preset);
}

double MethodSettings::real(const SettingDef& setting) const {
  return parse_number(word(setting));
}

int64_t MethodSettings::integer(const SettingDef& setting) const {
  return static_cast<int64_t>(real(setting));
}

bool MethodSettings::flag(const SettingDef& setting) const {
  return word(setting) == "true";
}

std::vector<std::string> MethodSettings::list(const SettingDef& setting) const {
  return split(word(setting), ',');
}

std::map<std::string, std::string> to_metadata(const MethodSettings& s) {
  std::map<std::string, std::string> metadata = {
      {"method", s.method},
      {"r", fmt::format("{}", s.r)},
      {"lora_alpha", fmt::format("{}", s.lora_alpha)},
      {"target_modules", json(s.target_modules).dump()},
      {"rank_pattern", pattern_json(s.rank_pattern)},
      {"alpha_pattern", pattern_json(s.alpha_pattern)},
      {"num_classes", fmt::format("{}", s.num_classes)},
      {"seed", fmt::format("{}", s.seed)}};
  for (const auto& [name, text] : s.own) metadata[name] = text;
  return metadata;
}

Result<MethodSettings> settings_from_metadata(
    const std::map<std::string, std::string>& metadata) {
  MethodSettings s;
  const auto method = metadata.find("method");
  if (method == metadata.end())
    return invalid_input("adapter metadata names no method");
  s.method = method->second;
  FT_TRY(const MethodDef* def, find_method(s.method));
  for (const SettingDef* own : def->settings) {
    const auto at = metadata.find(std::string(own->name));
    if (at == metadata.end()) continue;
    const Status status = set_setting(*def, own->name, at->second, s);
    if (!status.ok())
      return invalid_input("adapter metadata: " + status.message());
  }
  FT_TRY_STATUS(read_number(metadata, "r", s.r));
  FT_TRY_STATUS(read_number(metadata, "lora_alpha", s.lora_alpha));
  FT_TRY_STATUS(read_number(metadata, "num_classes", s.num_classes));
  FT_TRY_STATUS(read_number(metadata, "seed", s.seed));
  FT_TRY(const json targets, metadata_json(metadata, "target_modules"));
  for (const json& t : targets) {
    if (!t.is_string())
      return invalid_input("adapter metadata 'target_modules' is malformed");
    s.target_modules.push_back(t.get<std::string>());
  }
  FT_TRY(const json ranks, metadata_json(metadata, "rank_pattern"));
  FT_TRY_STATUS(read_patterns(ranks, "rank_pattern", s.rank_pattern));
  FT_TRY(const json alphas, metadata_json(metadata, "alpha_pattern"));
  FT_TRY_STATUS(read_patterns(alphas, "alpha_pattern", s.alpha_pattern));
  return s;
}

}  // namespace ft
