// Tables of int8 functions of one int8 value, bit-equal to TensorFlow Lite's
// reference kernels.
#pragma once

#include <array>
#include <cstdint>

#include "base/result.h"
#include "ir/types.h"

namespace ft::ops {

// Entry q + 128 is y for x = q. `kind` is a FT_UNARY_*; fails for those that
// have no int8 form (has_int8_form()) and for hard-swish with an output scale
// that the reference refuses.
using UnaryTable = std::array<int8_t, 256>;
Result<UnaryTable> unary_table(int32_t kind, float alpha, const QuantParams& x,
                               const QuantParams& y);
bool has_int8_form(int32_t kind);

}  // namespace ft::ops
