#include "codegen/c_text.h"

#include <fmt/format.h>

#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace ft::codegen {
namespace {

constexpr size_t kColumns = 80, kNameLength = 40;

template <class T>
T element(std::span<const std::byte> bytes, size_t i) {
  T v;
  std::memcpy(&v, bytes.data() + i * sizeof(T), sizeof(T));
  return v;
}

std::string double_literal(double v) {
  std::string text = fmt::format("{}", v);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string element_literal(DType dtype, std::span<const std::byte> bytes,
                            size_t i) {
  switch (dtype) {
    case DType::kF32: return c_literal(element<float>(bytes, i));
    case DType::kF64: return double_literal(element<double>(bytes, i));
    case DType::kF16:
    case DType::kBF16: return c_literal(int64_t{element<uint16_t>(bytes, i)});
    case DType::kS16: return c_literal(int64_t{element<int16_t>(bytes, i)});
    case DType::kS32: return c_literal(int64_t{element<int32_t>(bytes, i)});
    case DType::kS64: return c_literal(element<int64_t>(bytes, i));
    case DType::kS8: return c_literal(int64_t{element<int8_t>(bytes, i)});
    case DType::kU8:
    case DType::kBool: break;
  }
  return c_literal(int64_t{element<uint8_t>(bytes, i)});
}

}  // namespace

std::string c_literal(float v) {
  if (std::isinf(v)) return v < 0 ? "-INFINITY" : "INFINITY";
  std::string text = fmt::format("{}", v);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text + "f";
}

std::string c_literal(int64_t v) {
  // C reads a minus sign as an operator: the lowest number has no literal.
  if (v == std::numeric_limits<int64_t>::min())
    return "(-9223372036854775807LL - 1)";
  if (v == std::numeric_limits<int32_t>::min()) return "(-2147483647 - 1)";
  const bool wide = v > std::numeric_limits<int32_t>::max() ||
                    v < std::numeric_limits<int32_t>::min();
  return fmt::format("{}{}", v, wide ? "LL" : "");
}

std::string_view c_type(DType dtype) {
  switch (dtype) {
    case DType::kF32: return "float";
    case DType::kF64: return "double";
    case DType::kF16:
    case DType::kBF16: return "uint16_t";
    case DType::kS8: return "int8_t";
    case DType::kS16: return "int16_t";
    case DType::kS32: return "int32_t";
    case DType::kS64: return "int64_t";
    case DType::kU8:
    case DType::kBool: break;
  }
  return "uint8_t";
}

std::string c_wrapped(std::span<const std::string> words,
                      std::string_view indent) {
  std::string text, line(indent);
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string word = words[i] + (i + 1 < words.size() ? "," : "");
    const bool first = line.size() == indent.size();
    if (!first && line.size() + 1 + word.size() > kColumns) {
      text += line + "\n";
      line = indent;
    }
    if (line.size() > indent.size()) line += " ";
    line += word;
  }
  return text + line;
}

std::string c_elements(DType dtype, std::span<const std::byte> bytes) {
  std::vector<std::string> words;
  const size_t count = bytes.size() / size_of(dtype);
  words.reserve(count);
  for (size_t i = 0; i < count; ++i)
    words.push_back(element_literal(dtype, bytes, i));
  return c_wrapped(words, "  ");
}

std::string c_hex_bytes(std::span<const uint8_t> bytes) {
  std::vector<std::string> words;
  for (const uint8_t byte : bytes)
    words.push_back(fmt::format("0x{:02x}", byte));
  return "\n" + c_wrapped(words, "    ");
}

std::string c_hash_prefix(const std::string& hex) {
  std::vector<std::string> bytes;
  for (size_t i = 0; i < 16; ++i) bytes.push_back("0x" + hex.substr(2 * i, 2));
  return "\n" + c_wrapped(bytes, "    ");
}

std::string c_identifier(std::string_view name) {
  // Converters join the names of fused tensors with ';': the first one tells.
  name = name.substr(0, name.find(';'));
  if (name.size() > kNameLength) name.remove_prefix(name.size() - kNameLength);
  std::string out;
  for (const char c : name)
    out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return out;
}

}  // namespace ft::codegen
