#include "ops/unary_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/quant/fixed_point_math.h"
#include "kernels/unary/unary.h"
#include "ops/activation_bounds.h"
#include "ops/quantize_multiplier.h"

namespace ft::ops {
namespace {

int8_t to_int8(int32_t q) {
  return static_cast<int8_t>(std::clamp(q, -128, 127));
}

// Wraps for scales so small that the reference overflows too.
int32_t scaled_to(const QuantParams& y, int32_t v, QuantizedMultiplier m) {
  return ft_q_add(ft_requantize(v, m.multiplier, m.shift), y.zero_point[0]);
}

template <class F>
UnaryTable table_of(F y_of) {
  UnaryTable table;
  for (int q = -128; q < 128; ++q)
    table[static_cast<size_t>(q + 128)] = to_int8(y_of(q));
  return table;
}

// The reference computes smooth functions in float32 when it prepares a node.
// Here the function itself is computed in double and rounded once, so that the
// table does not hang on the C library at hand.
template <class F>
UnaryTable smooth_table(F function, const QuantParams& x,
                        const QuantParams& y) {
  const float inverse_scale = 1.0f / y.scale[0];
  return table_of([&](int q) {
    const float real = x.scale[0] * static_cast<float>(q - x.zero_point[0]);
    const auto result = static_cast<float>(function(static_cast<double>(real)));
    const float rounded = std::round(result * inverse_scale) +
                          static_cast<float>(y.zero_point[0]);
    // Scales near the limits of float32 give NaN.
    if (std::isnan(rounded)) return int32_t{0};
    return static_cast<int32_t>(std::clamp(rounded, -128.0f, 127.0f));
  });
}

// x and y differ by a factor, one for each sign of x.
UnaryTable piecewise_table(float negative, float positive,
                           ActivationBounds bounds, const QuantParams& x,
                           const QuantParams& y) {
  const QuantizedMultiplier low =
      quantize_multiplier(static_cast<double>(negative));
  const QuantizedMultiplier high =
      quantize_multiplier(static_cast<double>(positive));
  return table_of([&](int q) {
    const int32_t v = q - x.zero_point[0];
    const QuantizedMultiplier& m = v >= 0 ? high : low;
    return std::clamp(scaled_to(y, v, m), bounds.low, bounds.high);
  });
}

UnaryTable clamp_table(int64_t act, const QuantParams& x,
                       const QuantParams& y) {
  const float factor = x.scale[0] / y.scale[0];
  return piecewise_table(factor, factor, activation_bounds(act, y), x, y);
}

int32_t saturate16(int64_t v) {
  return static_cast<int32_t>(std::clamp<int64_t>(v, -32768, 32767));
}

// a b / 2^15 of 16-bit numbers, saturated; rounded half away from zero or, as
// in the last product of hard-swish, towards zero.
int32_t high_mul16(int32_t a, int32_t b) {
  if (a == -32768 && b == -32768) return 32767;
  const int32_t ab = a * b;
  return (ab + (ab >= 0 ? 1 << 14 : 1 - (1 << 14))) / (1 << 15);
}

int32_t high_mul16_truncating(int32_t a, int32_t b) {
  if (a == -32768 && b == -32768) return 32767;
  return a * b / (1 << 15);
}

struct Multiplier16 {
  int32_t multiplier, exponent;
};

Multiplier16 quantize_multiplier16(float factor) {
  const QuantizedMultiplier q =
      quantize_multiplier(static_cast<double>(factor));
  if (q.multiplier >= std::numeric_limits<int32_t>::max() - (1 << 15))
    return {32767, q.shift};
  return {(q.multiplier + (1 << 15)) >> 16, q.shift};
}

// x relu6(x + 3) / 6 in 16-bit fixed point: x gets 7 more bits; the relu6
// factor is a Q0.15 number that saturates at -1 and 1 (for x = -3 and 3).
Result<UnaryTable> hard_swish_table(const QuantParams& x,
                                    const QuantParams& y) {
  const float fine_scale = (1.0f / 128.0f) * x.scale[0];
  const Multiplier16 out = quantize_multiplier16(fine_scale / y.scale[0]);
  const Multiplier16 gate =
      quantize_multiplier16(fine_scale / (3.0f / 32768.0f));
  if (out.exponent > 0)
    return invalid_input(
        fmt::format("int8 hard_swish: the output scale {} is too small for "
                    "the input scale {}",
                    y.scale[0], x.scale[0]));
  return table_of([&](int q) {
    const int32_t fine = (q - x.zero_point[0]) * (1 << 7);
    const int32_t scaled = high_mul16(fine, out.multiplier);
    int32_t g = fine;
    if (gate.exponent > 0)
      g = saturate16(int64_t{g} * (int64_t{1} << (gate.exponent - 1)));
    g = high_mul16(g, gate.multiplier);
    if (gate.exponent > 0) g = saturate16(int64_t{g} * 2);
    if (gate.exponent < 0) g = ft_rounding_shift_right(g, -gate.exponent);
    g = (g + (1 << 15)) >> 1;
    return ft_rounding_shift_right(high_mul16_truncating(g, scaled),
                                   -out.exponent) +
           y.zero_point[0];
  });
}

UnaryTable abs_table(const QuantParams& x, const QuantParams& y) {
  const float factor = x.scale[0] / y.scale[0];
  const QuantizedMultiplier m =
      quantize_multiplier(static_cast<double>(factor));
  return table_of(
      [&](int q) { return scaled_to(y, std::abs(q - x.zero_point[0]), m); });
}

double smooth(int32_t kind, double v) {
  const auto cubic = [v] { return v + 0.044715 * v * v * v; };
  switch (kind) {
    case FT_UNARY_LOGISTIC: return 1 / (1 + std::exp(-v));
    case FT_UNARY_TANH: return std::tanh(v);
    case FT_UNARY_GELU: return 0.5 * v * std::erfc(-v * std::sqrt(0.5));
    case FT_UNARY_GELU_TANH:
      return 0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * cubic()));
    case FT_UNARY_EXP: return std::exp(v);
    default: return v < 0 ? std::expm1(v) : v;  // elu
  }
}

}  // namespace

bool has_int8_form(int32_t kind) {
  switch (kind) {
    case FT_UNARY_LOG:
    case FT_UNARY_SQRT:
    case FT_UNARY_RSQRT:
    case FT_UNARY_SQUARE:
    case FT_UNARY_NEG:
    case FT_UNARY_SILU: return false;
    default: return true;
  }
}

Result<UnaryTable> unary_table(int32_t kind, float alpha, const QuantParams& x,
                               const QuantParams& y) {
  FT_CHECK(has_int8_form(kind));
  switch (kind) {
    case FT_UNARY_RELU: return clamp_table(FT_ACT_RELU, x, y);
    case FT_UNARY_RELU6: return clamp_table(FT_ACT_RELU6, x, y);
    case FT_UNARY_RELU_N1: return clamp_table(FT_ACT_RELU_N1, x, y);
    case FT_UNARY_LEAKY_RELU:
      return piecewise_table(x.scale[0] * alpha / y.scale[0],
                             x.scale[0] / y.scale[0], {}, x, y);
    case FT_UNARY_HARD_SWISH: return hard_swish_table(x, y);
    case FT_UNARY_ABS: return abs_table(x, y);
    default:
      return smooth_table([kind](double v) { return smooth(kind, v); }, x, y);
  }
}

}  // namespace ft::ops
