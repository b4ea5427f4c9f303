// Real numbers as block floating point and back (kernels/bfp/bfp.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ft {

struct BfpValues {
  std::vector<int16_t> mantissas;
  int32_t exponent = 0;  // real = mantissa * 2^exponent
};

// The smallest exponent with which no finite value passes 32767, so numbers
// that came from from_bfp() are kept exactly. Zeros get room up to 2^-6: that
// is far above a first step, and updates raise the exponent when they need to.
BfpValues to_bfp(std::span<const float> real);
// The same of values in units of their own, real[i] / units[i]; one for all
// where there is one.
BfpValues to_bfp(std::span<const float> real, std::span<const float> units);

// Exact where units are powers of two: a mantissa has fewer bits than a float.
std::vector<float> from_bfp(std::span<const int16_t> mantissas,
                            int32_t exponent, std::span<const float> units);
std::vector<float> from_bfp(std::span<const int16_t> mantissas,
                            int32_t exponent);

}  // namespace ft
