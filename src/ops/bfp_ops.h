// Ops on block floating point that only the integer pass emits; those of the
// first layers and losses stand in all_ops.h.
#pragma once

#include "ops/op_def.h"

namespace ft::ops {

extern const OpDef kBfpAccumulateGrad, kBfpConcat, kBfpFakeQuantize,
    kBfpGatherGrad, kBfpInverseNorm;
extern const OpDef kBfpSparseConv2d, kBfpSparseConv2dValuesGrad,
    kBfpSparseConv2dInputGrad;

}  // namespace ft::ops
