// Real weights -> int8 by the TensorFlow Lite quantization specification.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "ir/types.h"

namespace ft {

struct QuantizedWeights {
  std::vector<int8_t> q;
  QuantParams quant;  // symmetric: zero points 0
};

// Fresh scales max|w| / 127 with values in [-127, 127]: one a channel along
// `quantized_dimension` if `per_channel`, else one for the tensor. An all-zero
// channel gets scale 1.
QuantizedWeights quantize_weights(std::span<const float> real,
                                  const Shape& shape, bool per_channel,
                                  int quantized_dimension);

// Bias in accumulator units: round(b / (x_scale * w_scale[c])), saturated to
// int32; `w_scale` has one entry or one for each bias.
std::vector<int32_t> quantize_bias(std::span<const float> bias, float x_scale,
                                   std::span<const float> w_scale);

// Asymmetric int8 quantizer whose grid holds [low, high] and exactly 0.
QuantParams activation_quantizer(float low, float high);

}  // namespace ft
