// What a plan costs on its target, by compiling its step and nothing else.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "plan/target.h"
#include "search/training_plan.h"
#include "train/base_model.h"

namespace ft {

struct Limits {
  size_t ram_bytes = SIZE_MAX;  // all of it: see PlanCosts
  size_t flash_bytes = SIZE_MAX;
  double step_ms = 0;    // 0: any
  double update_mj = 0;  // 0: any
};

struct PlanCosts {
  // Arena, persistent and scratch, and on a device kStackBytes for the stack.
  size_t ram_bytes = 0;
  size_t flash_bytes = 0;  // frozen weights and derived constants
  // Of one run of the step, and of an update (`accumulate` runs); 0: the target
  // states no costs.
  double step_ms = 0, step_mj = 0;
  int64_t macs = 0;  // of a run

  bool meets(const Limits& limits, int64_t accumulate) const;
};

// What is set aside for the stack of a device.
inline constexpr size_t kStackBytes = 4096;
// kStackBytes on a device, 0 where Linux grows stacks.
size_t stack_of(const Target& target);

// A base model in each arithmetic that plans ask for, opened once.
class SearchedModel {
 public:
  struct Options {
    std::string path;
    int seq_len = 0;
    std::optional<Loss> loss;  // none: natural_loss()
    uint64_t seed = 0;         // of initial values
  };
  explicit SearchedModel(Options options) : options_(std::move(options)) {}

  // Batch 1.
  Result<const BaseModel*> base(Precision precision);
  // The step of a plan within `ram_bytes` of arena, persistent and scratch.
  Result<StepSettings> step(const TrainingPlan& plan,
                            const PlanOptions& options, size_t ram_bytes);
  const Options& options() const { return options_; }

 private:
  Options options_;
  std::map<Precision, BaseModel> bases_;
};

// On `target`, or this machine where there is none. Fails with kDoesNotFit
// where no way of computing the step meets limits.ram_bytes; other limits are
// the caller's to check.
Result<PlanCosts> costs_of(const TrainingPlan& plan, SearchedModel& model,
                           const std::optional<Target>& target,
                           const Limits& limits);

// With the recompute mode that needs the least RAM.
Result<PlanCosts> least_costs_of(const TrainingPlan& plan, SearchedModel& model,
                                 const std::optional<Target>& target);

}  // namespace ft
