#include "ir/types.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/result.h"

namespace ft {

Shape::Shape(std::initializer_list<int64_t> dims)
    : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const int64_t> dims)
    : rank_(static_cast<int>(dims.size())) {
  FT_CHECK(dims.size() <= kMaxRank);
  for (size_t i = 0; i < dims.size(); ++i) dims_[i] = dims[i];
}

int64_t Shape::num_elements() const {
  int64_t n = 1;
  for (const int64_t d : dims()) n *= d;
  return n;
}

std::string Shape::to_string() const {
  return fmt::format("[{}]", fmt::join(dims(), ", "));
}

std::string TensorType::to_string() const {
  return std::string(name_of(dtype)) + shape.to_string();
}

}  // namespace ft
