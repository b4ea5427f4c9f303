// The int8 values between which a fused activation and int8 itself clamp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ir/types.h"
#include "kernels/kernel.h"

namespace ft {

struct ActivationBounds {
  int32_t low = -128, high = 127;
};

// As TensorFlow Lite: the bound's real value divided in float32, rounded half
// away from zero. `quant` is the output's and has one scale.
inline ActivationBounds activation_bounds(int64_t act,
                                          const QuantParams& quant) {
  const auto quantize = [&quant](float real) {
    const float q = std::round(real / quant.scale[0]);
    return static_cast<int32_t>(std::clamp(
        static_cast<double>(q) + quant.zero_point[0], -128.0, 127.0));
  };
  switch (act) {
    case FT_ACT_RELU: return {quantize(0), 127};
    case FT_ACT_RELU6: return {quantize(0), quantize(6)};
    case FT_ACT_RELU_N1: return {quantize(-1), quantize(1)};
    default: return {};
  }
}

}  // namespace ft
