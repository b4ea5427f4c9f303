// What the command prints: one JSON object, or the same as readable lines.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace ft::cli {

using Json = nlohmann::ordered_json;

// With `as_json` one object on stdout and nothing else; otherwise a line a
// field, with units taken from the field names ("arena_bytes" -> "64.3 KB").
void print_result(const Json& result, bool as_json);

// A warning on stderr.
void warn(const std::string& sentence);

// "256K", "1M", "131072" -> bytes (K = 1024). Fails on anything else.
Result<size_t> parse_bytes(const std::string& text);

// "68.4 KB (70,041 bytes)".
std::string readable_bytes(size_t bytes);

// A number for JSON; null where it is not finite.
Json number_or_null(double value);

}  // namespace ft::cli
