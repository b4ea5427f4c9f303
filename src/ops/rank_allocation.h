// AdaLoRA's ops, which training inserts between gradients and updates.
#pragma once

#include "ops/op_def.h"

namespace ft::ops {

extern const OpDef kAdaloraScore, kAdaloraAllocate, kAdaloraPrune;

}  // namespace ft::ops
