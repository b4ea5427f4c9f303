// The activations to compute again so that a step needs little memory, within a
// limit of compute.
#pragma once

#include "train/drop_search.h"

namespace ft {

// Of the steps that were tried, the one with the least RAM that makes at most
// `limit` times the multiply-accumulates of the step that keeps everything;
// operations without multiply-accumulates count nothing. Up to eight candidates
// are tried in all combinations, more by prefixes of several orders (largest
// first, cheapest for their bytes first, from either end, every k-th kept) and
// then by changing one or two at a time. Deterministic.
Result<CompiledStep> smallest_within_compute(double limit,
                                             const CompileWith& compile);

}  // namespace ft
