// What a user may choose about a method, in PEFT's words, and how it is kept in
// an adapter file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace ft {

// A setting that only some methods have. The command line (`--use-rslora` for
// `use_rslora`), the adapter's metadata and the docs are made from it.
struct SettingDef {
  enum class Kind { kInt, kReal, kFlag, kWord, kList, kText };
  std::string_view name;  // PEFT's word
  Kind kind;
  std::string_view summary;
  // Where it is not given: a number, "true", "false" or a word.
  std::string_view preset = "";
  double low = 0, high = 0;     // kInt, kReal: allowed range
  std::string_view words = "";  // kWord: what it may be, separated by blanks

  // The text in its one spelling. Fails, saying what is allowed.
  Result<std::string> canonical(std::string_view text) const;
};

struct MethodSettings {
  std::string method = "lora";
  int r = 4;
  double lora_alpha = 8;
  // Module names, their last parts, or shell patterns; "all-linear" or empty:
  // every adaptable module.
  std::vector<std::string> target_modules;
  // Pattern -> value for the modules it matches; the first match wins.
  std::vector<std::pair<std::string, int>> rank_pattern;
  std::vector<std::pair<std::string, double>> alpha_pattern;
  int num_classes = 0;  // > 0: a new classification head of this size
  uint64_t seed = 0;    // of the initial values
  // Factor of what the adapter adds, for this use of it; no file records it. 0:
  // disabled (methods/compose.h).
  double weight = 1;
  // What a sparse method keeps of each module, where that is known already:
  // from an adapter's file, or chosen with data (methods/sparse.h).
  std::map<std::string, std::vector<float>, std::less<>> masks;
  // Canonical texts of the method's own settings; absent: the preset.
  std::map<std::string, std::string, std::less<>> own;

  int rank_of(std::string_view module) const;
  double alpha_of(std::string_view module) const;
  int64_t integer(const SettingDef& setting) const;
  double real(const SettingDef& setting) const;
  bool flag(const SettingDef& setting) const;
  std::string word(const SettingDef& setting) const;
  std::vector<std::string> list(const SettingDef& setting) const;  // at commas
};

// Settings as adapter metadata (PEFT's keys) and back.
std::map<std::string, std::string> to_metadata(const MethodSettings& settings);
Result<MethodSettings> settings_from_metadata(
    const std::map<std::string, std::string>& metadata);

}  // namespace ft
