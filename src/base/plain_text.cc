#include "base/plain_text.h"

#include <fmt/format.h>

#include <cstdint>

namespace ft {
namespace {

struct CodePoint {
  uint32_t value = 0;
  size_t bytes = 0;  // 0: these are no UTF-8 (RFC 3629)
};

CodePoint code_point_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : 0u;
  };
  const uint32_t first = byte(at);
  if (first < 0x80) return {first, 1};
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  constexpr uint32_t kLowest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (first < 0xc2 || first > 0xf4) return {};
  uint32_t value = first & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return {};
    value = value << 6 | (byte(at + i) & 0x3f);
  }
  const bool is_surrogate = value >= 0xd800 && value < 0xe000;
  if (value < kLowest[bytes] || value > 0x10ffff || is_surrogate) return {};
  return {value, bytes};
}

bool is_control(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
         (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

Status check_plain_text(std::string_view what, std::string_view text,
                        size_t longest) {
  if (text.size() > longest)
    return usage_error(fmt::format("{} has {} bytes, at most {} are taken",
                                   what, text.size(), longest));
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    if (c.bytes == 0)
      return usage_error(
          fmt::format("{} is not UTF-8 text at byte {}", what, at));
    if (is_control(c.value))
      return usage_error(
          fmt::format("{} has the control character U+{:04X} at "
                      "byte {}",
                      what, c.value, at));
    at += c.bytes;
  }
  return ok_status();
}

std::string printable(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const CodePoint c = code_point_at(text, at);
    const size_t bytes = c.bytes == 0 ? 1 : c.bytes;
    if (c.bytes > 0 && (c.value == '\n' || !is_control(c.value))) {
      out += text.substr(at, bytes);
    } else {
      for (const char b : text.substr(at, bytes))
        out += fmt::format("\\x{:02x}", static_cast<uint8_t>(b));
    }
    at += bytes;
  }
  return out;
}

}  // namespace ft
