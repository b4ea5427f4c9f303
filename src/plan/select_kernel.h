// Chooses the kernel row of a node: the first that this machine has and that
// accepts the parameters.
#pragma once

#include "plan/program.h"

namespace ft {

struct SelectedKernel {
  const KernelDef* kernel;
  Lowered lowered;
  Overlap overlap;
};

Result<SelectedKernel> select_kernel(const Graph& graph, const Node& node,
                                     const PlanOptions& options);

}  // namespace ft
