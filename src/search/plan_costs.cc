#include "search/plan_costs.h"

#include <fmt/format.h>

#include "plan/cost.h"

namespace ft {
namespace {

PlanOptions options_for(const std::optional<Target>& target) {
  return target ? plan_on(*target) : PlanOptions{};
}

size_t stack_of(const std::optional<Target>& target) {
  return target ? ft::stack_of(*target) : 0;
}

Result<PlanCosts> costs_of_program(const Program& program,
                                   const std::optional<Target>& target) {
  PlanCosts costs{.ram_bytes = program.ram_bytes() + stack_of(target),
                  .flash_bytes = program.constant_bytes,
                  .macs = program.macs};
  if (!target || !target->costs) return costs;
  FT_TRY(const ProgramCost cost, cost_of(program, *target));
  costs.step_ms = cost.ms();
  costs.step_mj = cost.energy_mj();
  return costs;
}

}  // namespace

size_t stack_of(const Target& target) {
  return target.runs_linux ? 0 : kStackBytes;
}

bool PlanCosts::meets(const Limits& limits, int64_t accumulate) const {
  const bool in_time = limits.step_ms == 0 || step_ms <= limits.step_ms;
  const double update_mj = step_mj * static_cast<double>(accumulate);
  const bool in_energy = limits.update_mj == 0 || update_mj <= limits.update_mj;
  return ram_bytes <= limits.ram_bytes && flash_bytes <= limits.flash_bytes &&
         in_time && in_energy;
}

Result<const BaseModel*> SearchedModel::base(Precision precision) {
  const auto found = bases_.find(precision);
  if (found != bases_.end()) return &found->second;
  FT_TRY(BaseModel model,
         load_base(options_.path, precision, 1, options_.seq_len));
  return &bases_.emplace(precision, std::move(model)).first->second;
}

Result<StepSettings> SearchedModel::step(const TrainingPlan& plan,
                                         const PlanOptions& options,
                                         size_t ram_bytes) {
  FT_TRY(const BaseModel* model, base(plan.precision));
  StepSettings s;
  s.method = method_settings(plan, options_.seed);
  s.optimizer = optimizer_settings(plan);
  s.loss = options_.loss.value_or(natural_loss(model->graph, s.method));
  s.plan = options;
  s.precision = plan.precision;
  s.ram_bytes = ram_bytes;
  return s;
}

Result<PlanCosts> costs_of(const TrainingPlan& plan, SearchedModel& model,
                           const std::optional<Target>& target,
                           const Limits& limits) {
  const size_t stack = stack_of(target);
  if (limits.ram_bytes <= stack)
    return does_not_fit(
        fmt::format("the stack alone needs {} bytes", kStackBytes));
  FT_TRY(const StepSettings settings,
         model.step(plan, options_for(target), limits.ram_bytes - stack));
  FT_TRY(const BaseModel* base, model.base(plan.precision));
  FT_TRY(const CompiledStep step, compile_training(base->graph, settings));
  return costs_of_program(step.program, target);
}

Result<PlanCosts> least_costs_of(const TrainingPlan& plan, SearchedModel& model,
                                 const std::optional<Target>& target) {
  FT_TRY(StepSettings settings,
         model.step(plan, options_for(target), SIZE_MAX));
  FT_TRY(const BaseModel* base, model.base(plan.precision));
  std::optional<PlanCosts> least;
  for (const Recompute mode :
       {Recompute::kNever, Recompute::kAlways, Recompute::kAll}) {
    settings.recompute = mode;
    FT_TRY(const CompiledStep step, compile_training(base->graph, settings));
    FT_TRY(const PlanCosts costs, costs_of_program(step.program, target));
    if (!least || costs.ram_bytes < least->ram_bytes) least = costs;
  }
  return *least;
}

}  // namespace ft
