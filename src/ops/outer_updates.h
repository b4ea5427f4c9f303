// Updates whose gradient is an outer product of two vectors, dy and x, of which
// no tensor is made (passes/fuse_updates.h).
#pragma once

#include "ops/op_def.h"

namespace ft::ops {

// param, dy, x, hyper, momentum state (optional)
extern const OpDef kOuterSgdUpdate;
// param, dy, x, m, v, hyper
extern const OpDef kOuterAdamwUpdate;
// param, param_exp, dy, dy_exp, hyper, residual, then momentum (optional) or
// m and v, then x (int8 or int16), x_exp (int16 x), predicted (optional)
extern const OpDef kBfpOuterSgdUpdate, kBfpOuterAdamwUpdate;

}  // namespace ft::ops
