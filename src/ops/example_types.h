// Short spellings of tensor types for the ops' examples.
#pragma once

#include "ir/types.h"

namespace ft {

inline TensorType f32(Shape shape) {
  return {.dtype = DType::kF32, .shape = shape, .quant = {}};
}

inline TensorType s8(Shape shape, float scale, int32_t zero_point) {
  return {.dtype = DType::kS8,
          .shape = shape,
          .quant = QuantParams::per_tensor(scale, zero_point)};
}

inline TensorType s32(Shape shape) {
  return {.dtype = DType::kS32, .shape = shape, .quant = {}};
}

}  // namespace ft
