// What ops say of their calls in parts (OpDef::divide).
#pragma once

#include "kernels/bfp/bfp.h"
#include "ops/op_def.h"

namespace ft::ops {

// Units in one round; `grain` of them are computed at a time.
inline Division in_units(int64_t units, int grain = 1) {
  return {.units = units, .grain = grain, .rounds = 1, .share = 1};
}

// Fills of ft_bfp_run(): round 1 writes again what needs it, or everything.
inline Division in_bfp_fills(int64_t fills, int32_t passes = FT_BFP_ONCE) {
  if (fills > FT_BFP_MAX_FILLS) return {};
  return {.units = fills,
          .grain = 1,
          .rounds = 2,
          .share = passes == FT_BFP_TWICE ? 0.5 : 1};
}

}  // namespace ft::ops
