// Fits a kernel row's linear model to calls that were measured.
//
// Non-negative least squares of relative errors, so that small and large calls
// count alike, over every subset of the terms: they are few, and a term
// that the calls do not show stays 0 instead of taking another's part.
#pragma once

#include <span>

#include "plan/kernel_costs.h"

namespace ft {

struct MeasuredCall {
  CallWork work;
  double units = 0;  // more than 0
};

// All terms at least 0; `samples` and `error` (the largest) say how good it is.
KernelCost fit_cost(std::span<const MeasuredCall> calls);

}  // namespace ft
