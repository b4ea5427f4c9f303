// What readers of other programs' configuration files share.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ft {

// The value of a JSON text; a discarded one where it is malformed or nested
// deeper than any configuration: printing and comparing recurse.
inline nlohmann::ordered_json parse_config(std::string_view text) {
  constexpr int kDeepest = 32;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') ++i;
    if (c == '"') in_string = !in_string;
    if (in_string) continue;
    depth += (c == '[' || c == '{') - (c == ']' || c == '}');
    if (depth > kDeepest) return nlohmann::ordered_json::value_t::discarded;
  }
  return nlohmann::ordered_json::parse(text, nullptr, false);
}

// A value that asks for nothing.
inline bool is_neutral(const nlohmann::ordered_json& value) {
  return value.is_null() || value == nlohmann::ordered_json(false) ||
         value == nlohmann::ordered_json("none") ||
         (value.is_structured() && value.empty());
}

inline Status cannot_honour(const std::string& key,
                            const nlohmann::ordered_json& value,
                            std::string_view what) {
  std::string text = value.dump(-1, ' ', true);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return invalid_input(fmt::format(
      "'{}' is {}, which fieldtune cannot honour for {}", key, text, what));
}

}  // namespace ft
