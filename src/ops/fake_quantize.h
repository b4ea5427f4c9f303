// The ops of fake quantization, which train/adapter_storage.h builds with:
// rounding of float values to what a file can store.
#pragma once

#include "ops/op_def.h"

namespace ft::ops {

extern const OpDef kMinmaxQuantizer, kFakeQuantize, kFakeQuantizeGrad,
    kFakeQuantizeStepGrad, kRoundFloat;

}  // namespace ft::ops
