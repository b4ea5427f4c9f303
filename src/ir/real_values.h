// The real numbers that a constant stands for.
#pragma once

#include <vector>

#include "ir/graph.h"

namespace ft {

// float32 values as they are; int8 and int32 dequantized with the value's
// QuantParams (scale 1, zero point 0 where it has none). The value must have
// data of one of these dtypes.
std::vector<float> real_values(const Value& value);

// Which entry of a per-channel quantizer element `index` of `type` uses; 0 for
// per-tensor ones.
size_t channel_of(const TensorType& type, int64_t index);

}  // namespace ft
