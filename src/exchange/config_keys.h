// What readers of other programs' configuration files share.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ft {

// A value that asks for nothing.
inline bool is_neutral(const nlohmann::ordered_json& value) {
  return value.is_null() || value == nlohmann::ordered_json(false) ||
         value == nlohmann::ordered_json("none") ||
         (value.is_structured() && value.empty());
}

inline Status cannot_honour(const std::string& key,
                            const nlohmann::ordered_json& value,
                            std::string_view what) {
  return invalid_input(
      fmt::format("'{}' is {}, which fieldtune cannot honour for {}", key,
                  value.dump(), what));
}

}  // namespace ft
