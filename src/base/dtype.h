// Element types of tensors, with their size and the names used in messages,
// files and kernel symbols.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ft {

enum class DType : uint8_t {
  kF32,
  kF16,
  kBF16,
  kF64,
  kS8,
  kU8,
  kS16,
  kS32,
  kS64,
  kBool,
};

constexpr size_t size_of(DType t) {
  switch (t) {
    case DType::kF64:
    case DType::kS64: return 8;
    case DType::kF32:
    case DType::kS32: return 4;
    case DType::kF16:
    case DType::kBF16:
    case DType::kS16: return 2;
    case DType::kS8:
    case DType::kU8:
    case DType::kBool: return 1;
  }
  return 0;
}

// The field's names: "float32", "int8", ...
constexpr std::string_view name_of(DType t) {
  switch (t) {
    case DType::kF32: return "float32";
    case DType::kF16: return "float16";
    case DType::kBF16: return "bfloat16";
    case DType::kF64: return "float64";
    case DType::kS8: return "int8";
    case DType::kU8: return "uint8";
    case DType::kS16: return "int16";
    case DType::kS32: return "int32";
    case DType::kS64: return "int64";
    case DType::kBool: return "bool";
  }
  return "?";
}

}  // namespace ft
