// What `fieldtune plan` computes: the step of some options, which tensors make
// its peak, and what other options would make of it.
#pragma once

#include <string>

#include "cli/options.h"
#include "cli/output.h"
#include "plan/target.h"

namespace ft::cli {

struct PlanJob {
  std::string model;
  MethodOptions method;
  OptimizerOptions optimizer;
  KernelOptions kernels;
  bool on_features = false;        // of the frozen layers, instead of samples
  const Target* target = nullptr;  // whose kernel rows are planned with
};

// kDoesNotFit where --ram is too small.
Result<CompiledStep> plan_step(const PlanJob& job);

// What `step` and inference cost on job.target; see plan_costs.h.
Status add_target_costs(const PlanJob& job, const CompiledStep& step,
                        bool with_rows, Json& fields);

// Every buffer that is alive at the fullest call, largest first: what it is
// for, its share of the arena, and the calls that make it and read it last.
Json tensors_at_peak(const Program& program);

// The step compiled again with one option changed, for each value that another
// user might choose: bytes, multiply-accumulates and what that is more or less
// than `step`; or why there is no such step. Budgets are left out, but rows say
// whether they fit the one of --ram.
Json explain_knobs(const PlanJob& job, const CompiledStep& step);

}  // namespace ft::cli
