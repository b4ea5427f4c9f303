// A check of options that are whole numbers: decimal digits, within limits.
//
// The option library itself takes 99999999999999999999 for the largest number
// of the type and -1 for the largest of one without a sign, and says nothing.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <string>

namespace ft::cli {

template <class Integer>
CLI::Validator whole_number(Integer least, Integer most) {
  const std::string wanted =
      fmt::format("a whole number from {} to {}", least, most);
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        Integer value = 0;
        const char* const end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, value);
        if (error == std::errc() && stop == end && value >= least &&
            value <= most)
          return {};
        return fmt::format("'{}' is not {}", text, wanted);
      },
      fmt::format("{} to {}", least, most));
}

}  // namespace ft::cli
