#include "codegen/kernel_sizes.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include "codegen/kernel_sizes_table.h"

namespace ft::codegen {
namespace {

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(at), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

// Nothing for the "-" of a file that the architecture cannot compile.
std::optional<size_t> number(std::string_view word) {
  size_t value = 0;
  const auto end =
      std::from_chars(word.data(), word.data() + word.size(), value);
  if (end.ec != std::errc()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<KernelSizes> kernel_sizes(std::string_view arch) {
  KernelSizes sizes;
  std::optional<size_t> column;
  for (const std::string_view line : split(kernel_sizes_table(), '\n')) {
    const auto words = split(line, ' ');
    if (words[0] == "arch") {
      const auto found = std::find(words.begin() + 1, words.end(), arch);
      if (found == words.end()) return std::nullopt;
      column = static_cast<size_t>(found - words.begin()) - 1;
    } else if (words[0] == "file" && column) {
      // file PATH DIGEST SIZE...
      if (const auto n = number(words[3 + *column])) sizes.code[words[1]] = *n;
    } else if (words[0] == "function" && column) {
      if (const auto n = number(words[2 + *column])) sizes.stack[words[1]] = *n;
    }
  }
  return sizes;
}

}  // namespace ft::codegen
