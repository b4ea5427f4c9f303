#include "cli/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/plain_text.h"

namespace ft::cli {
namespace {

std::string with_commas(size_t value) {
  std::string text = fmt::format("{}", value);
  for (int i = static_cast<int>(text.size()) - 3; i > 0; i -= 3)
    text.insert(static_cast<size_t>(i), ",");
  return text;
}

std::string readable(const std::string& key, const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_number_unsigned() && key.ends_with("_bytes"))
    return readable_bytes(value.get<size_t>());
  if (value.is_number_float()) {
    const double v = value.get<double>();
    if (key.starts_with("accuracy")) return fmt::format("{:.2f} %", 100 * v);
    if (key.ends_with("_ms")) return fmt::format("{:.3f} ms", v);
    return fmt::format("{:.6g}", v);
  }
  if (value.is_string()) return value.get<std::string>();
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The last characters of long names say most.
std::string shortened(const std::string& text) {
  constexpr size_t kLongest = 44;
  if (text.size() <= kLongest) return text;
  return "..." + text.substr(text.size() - kLongest + 3);
}

// Aligned columns, one for each field that any row has.
void print_table(const Json& rows) {
  std::vector<std::string> names;
  for (const Json& row : rows)
    for (const auto& [name, cell] : row.items())
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  std::vector<size_t> widths;
  for (const std::string& name : names) {
    size_t width = name.size();
    for (const Json& row : rows)
      if (row.contains(name))
        width = std::max(width, shortened(readable(name, row[name])).size());
    widths.push_back(width);
  }
  const auto print_line = [&](const auto& cell_of) {
    std::string line;
    for (size_t c = 0; c < names.size(); ++c)
      line += fmt::format("  {:<{}}", cell_of(names[c]), widths[c]);
    std::printf("%s\n", line.substr(0, line.find_last_not_of(' ') + 1).c_str());
  };
  print_line([](const std::string& name) { return name; });
  for (const Json& row : rows)
    print_line([&](const std::string& name) {
      return row.contains(name) ? shortened(readable(name, row[name])) : "";
    });
}

}  // namespace

void print_result(const Json& result, bool as_json) {
  if (as_json) {
    // Paths are any bytes: what is no UTF-8 becomes U+FFFD.
    const std::string text =
        result.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::printf("%s\n", text.c_str());
    return;
  }
  size_t width = 0;
  for (const auto& [key, value] : result.items())
    width = std::max(width, key.size());
  for (const auto& [key, value] : result.items()) {
    if (!value.is_array() || value.empty() || !value[0].is_object()) {
      std::printf("%-*s  %s\n", static_cast<int>(width), key.c_str(),
                  readable(key, value).c_str());
      continue;
    }
    std::printf("%s\n", key.c_str());
    print_table(value);
  }
}

void warn(const std::string& sentence) {
  std::fprintf(stderr, "fieldtune: warning: %s\n", printable(sentence).c_str());
}

Result<size_t> parse_bytes(const std::string& text) {
  size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9')
    ++digits;
  std::string unit = text.substr(digits);
  if (unit.ends_with('B') || unit.ends_with('b')) unit.pop_back();
  size_t factor = 0;
  if (unit.empty()) factor = 1;
  if (unit == "K" || unit == "k" || unit == "Ki") factor = 1024;
  if (unit == "M" || unit == "Mi") factor = 1024 * 1024;
  if (unit == "G" || unit == "Gi") factor = 1024 * 1024 * 1024;
  if (digits == 0 || digits > 12 || factor == 0)
    return usage_error(fmt::format(
        "'{}' is not a number of bytes; write 262144, 256K or 1M", text));
  return static_cast<size_t>(std::stoull(text.substr(0, digits))) * factor;
}

std::string readable_bytes(size_t bytes) {
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  const double kb = static_cast<double>(bytes) / 1024;
  const std::string exact = with_commas(bytes);
  if (kb < 1024) return fmt::format("{:.1f} KB ({} bytes)", kb, exact);
  return fmt::format("{:.1f} MB ({} bytes)", kb / 1024, exact);
}

Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

}  // namespace ft::cli
