// Types for the examples of the linear family.
#pragma once

#include <vector>

#include "ops/example_types.h"

namespace ft {

// int8 weights with one scale for each index of `axis`, none alike.
inline TensorType s8_per_channel(Shape shape, int axis) {
  QuantParams quant{.scale = {}, .zero_point = {}, .quantized_dimension = axis};
  for (int64_t c = 0; c < shape[axis]; ++c) {
    quant.scale.push_back(0.004f + 0.0013f * static_cast<float>(c % 7));
    quant.zero_point.push_back(0);
  }
  return {.dtype = DType::kS8, .shape = shape, .quant = quant};
}

inline std::vector<QuantParams> quant_of_output(float scale, int32_t zero) {
  return {QuantParams::per_tensor(scale, zero)};
}

}  // namespace ft
