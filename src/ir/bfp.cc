#include "ir/bfp.h"

#include <algorithm>
#include <array>
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
                            int32_t exponent, std::span<const float> units) {
  std::vector<float> real;
  for (size_t i = 0; i < mantissas.size(); ++i)
    real.push_back(std::ldexp(static_cast<float>(mantissas[i]), exponent) *
                   units[units.size() > 1 ? i : 0]);
  return real;
}

std::vector<float> from_bfp(std::span<const int16_t> mantissas,
                            int32_t exponent) {
  return from_bfp(mantissas, exponent, std::array{1.0f});
}

BfpValues to_bfp(std::span<const float> real, std::span<const float> units) {
  std::vector<float> counted;
  for (size_t i = 0; i < real.size(); ++i)
    counted.push_back(real[i] / units[units.size() > 1 ? i : 0]);
  return to_bfp(counted);
}

}  // namespace ft
