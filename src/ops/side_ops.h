// Ops that only passes/int8_sides.h emits: int8 layers with an adapter beside
// them, for inference.
#pragma once

#include "ops/op_def.h"

namespace ft::ops {

extern const OpDef kSideConv2d, kWideDepthwiseConv2d;

}  // namespace ft::ops
