// Whether a node of an op writes over its input `i`. Only the first 32 inputs
// can be updated; ops of any number of inputs, as concat, update none.
#pragma once

#include "ops/op_def.h"

namespace ft {

inline bool updates_input(const OpDef& op, size_t i) {
  return i < 32 && (op.mutates >> i & 1) != 0;
}

}  // namespace ft
