#include "exchange/module_pattern.h"

#include <fmt/format.h>

#include <regex>

namespace ft {
namespace {

constexpr size_t kLongest = 512;

// Backtracking takes exponential time on some patterns. The other matcher of
// the GNU library does not, and is as deep as the pattern is long.
constexpr std::regex::flag_type flags() {
#ifdef __GLIBCXX__
  return std::regex::ECMAScript | std::regex_constants::__polynomial;
#else
  return std::regex::ECMAScript;
#endif
}

}  // namespace

Result<bool> matches_pattern(std::string_view key, const std::string& pattern,
                             const std::string& module, bool any_tail) {
  if (pattern.size() > kLongest || pattern.find('{') != std::string::npos)
    return invalid_input(fmt::format(
        "{} has '{}', but fieldtune takes patterns of at most {} characters "
        "without '{{'",
        key, pattern.substr(0, 40), kLongest));
  if (module.size() > 8 * kLongest)
    return invalid_input(
        fmt::format("the module '{}...' has {} characters in its name",
                    module.substr(0, 40), module.size()));
  try {  // std::regex reports by exception
    const std::regex regex(any_tail ? "(.*\\.)?(" + pattern + ")" : pattern,
                           flags());
    return std::regex_match(module, regex);
  } catch (const std::regex_error&) {
    return invalid_input(fmt::format(
        "{} has '{}', which is not a regular expression", key, pattern));
  }
}

}  // namespace ft
