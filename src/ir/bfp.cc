#include "ir/bfp.h"

#include <algorithm>
#include <cmath>

namespace ft {

BfpValues to_bfp(std::span<const float> real) {
  constexpr int kZeroExponent = -21;  // 2^15 steps up to 2^-6
  constexpr float kLargest = 32767;
  float largest = 0;
  for (const float v : real) largest = std::max(largest, std::fabs(v));
  BfpValues bfp;
  bfp.exponent = kZeroExponent;
  if (largest > 0) {
    int exponent = 0;
    std::frexp(largest, &exponent);
    bfp.exponent = exponent - 15;
    if (std::ldexp(largest, -bfp.exponent) > kLargest) ++bfp.exponent;
  }
  for (const float v : real)
    bfp.mantissas.push_back(
        static_cast<int16_t>(std::lround(std::ldexp(v, -bfp.exponent))));
  return bfp;
}

std::vector<float> from_bfp(std::span<const int16_t> mantissas,
                            int32_t exponent, float factor) {
  std::vector<float> real;
  for (const int16_t m : mantissas)
    real.push_back(std::ldexp(static_cast<float>(m), exponent) * factor);
  return real;
}

}  // namespace ft
