// Real factor -> Q31 multiplier and shift, as TensorFlow Lite's specification.
#pragma once

#include <cmath>
#include <cstdint>

namespace ft {

struct QuantizedMultiplier {
  int32_t multiplier = 0;  // Q31 in [2^30, 2^31), or 0
  int32_t shift = 0;       // positive: left
};

// factor = multiplier * 2^(shift - 31); factors below 2^-32 become 0 and those
// too large saturate, as in the reference.
inline QuantizedMultiplier quantize_multiplier(double factor) {
  if (factor == 0.0) return {};
  if (!std::isfinite(factor)) return {INT32_MAX, 30};
  int shift = 0;
  const double fraction = std::frexp(factor, &shift);
  auto q = static_cast<int64_t>(std::round(fraction * 2147483648.0));
  if (q == int64_t{1} << 31) {
    q /= 2;
    ++shift;
  }
  if (shift < -31) return {};
  if (shift > 30) return {INT32_MAX, 30};
  return {static_cast<int32_t>(q), shift};
}

}  // namespace ft
