// For tests: int8 layers by another route than the kernels'. Sums in int64,
// requantization in extended floating point after the formulas of the
// TensorFlow Lite specification, no shared code.
#pragma once

#include <cmath>
#include <cstdint>

namespace ft {

// round(round(acc * 2^left * m / 2^31) / 2^right) + zero point, clamped. The
// inner rounding is up at ties, the outer away from zero.
inline int8_t naive_requantize(int64_t acc, int32_t multiplier, int32_t shift,
                               int32_t zero_point, int32_t low, int32_t high) {
  const long double scaled =
      static_cast<long double>(acc) * (shift > 0 ? std::exp2l(shift) : 1);
  const long double q31 =
      std::floor(scaled * multiplier / 2147483648.0L + 0.5L);
  const long double q = std::round(shift < 0 ? q31 * std::exp2l(shift) : q31);
  const long double y = q + zero_point;
  return static_cast<int8_t>(y < low ? low : (y > high ? high : y));
}

// The same rounded once, away from zero at ties. The product of an int32 and a
// Q31 number fits the 64 bits of an extended mantissa, so this is exact.
inline int8_t naive_requantize_once(int64_t acc, int32_t multiplier,
                                    int32_t shift, int32_t zero_point,
                                    int32_t low, int32_t high) {
  const long double q = std::round(static_cast<long double>(acc) * multiplier *
                                   std::exp2l(shift - 31));
  const long double y = q + zero_point;
  return static_cast<int8_t>(y < low ? low : (y > high ? high : y));
}

// scaling * h b^T in the accumulator's unit; exact for values with few bits.
inline int64_t naive_side(float side, float inv_acc_scale) {
  return static_cast<int64_t>(std::floor(side * inv_acc_scale + 0.5f));
}

// What gain * (acc + side) differs from acc; side in the accumulator's unit.
inline int64_t naive_gain(float gain, int64_t acc, float side) {
  return static_cast<int64_t>(
      std::floor((gain - 1) * static_cast<float>(acc) + gain * side + 0.5f));
}

}  // namespace ft
