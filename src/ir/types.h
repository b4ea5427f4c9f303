// What a tensor is, before anyone asks where it lies: shape, dtype, quantizer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace ft {

// Up to kMaxRank dimensions, each >= 0, known when compiling. Rank 0 is a
// scalar.
class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  void set(int i, int64_t dim) { dims_[static_cast<size_t>(i)] = dim; }
  std::span<const int64_t> dims() const {
    return {dims_.data(), static_cast<size_t>(rank_)};
  }
  int64_t back() const { return (*this)[rank_ - 1]; }
  int64_t num_elements() const;
  std::string to_string() const;  // "[1, 49, 10, 1]"
  bool operator==(const Shape&) const = default;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

// real = scale * (q - zero_point), per tensor (one entry) or along
// `quantized_dimension` (one entry a channel). Empty: not quantized.
struct QuantParams {
  std::vector<float> scale;
  std::vector<int32_t> zero_point;  // as long as `scale`
  int quantized_dimension = 0;

  static QuantParams per_tensor(float scale, int32_t zero_point) {
    return {{scale}, {zero_point}, 0};
  }
  bool empty() const { return scale.empty(); }
  bool is_per_channel() const { return scale.size() > 1; }
  bool operator==(const QuantParams&) const = default;
};

struct TensorType {
  DType dtype = DType::kF32;
  Shape shape;
  QuantParams quant;

  size_t num_bytes() const {
    return static_cast<size_t>(shape.num_elements()) * size_of(dtype);
  }
  std::string to_string() const;  // "int8[1, 25, 5, 64]"
};

}  // namespace ft
