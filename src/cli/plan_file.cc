#include "cli/plan_file.h"

#include <fmt/format.h>

#include "plan/target.h"
#include "search/training_plan.h"
#include "train/base_model.h"

namespace ft::cli {
namespace {

constexpr const char* kDecided[] = {
    "--method",       "--rank",      "--alpha",    "--target-modules",
    "--rank-pattern", "--classes",   "--new-head", "--alpha-pattern",
    "--precision",    "--optimizer", "--lr",       "--epochs",
    "--accumulate",   "--ram",       "--batch"};

}  // namespace

void add_plan_file(CLI::App& app, std::string& path) {
  CLI::Option* plan = app.add_option(
      "--plan", path,
      "plan file of 'fieldtune plan --search', in the place of the options "
      "that it decides");
  for (const char* name : kDecided)
    if (CLI::Option* option = app.get_option_no_throw(name))
      option->excludes(plan);
}

Result<TrainingPlan> load_plan_for(const std::string& model,
                                   const std::string& path) {
  FT_TRY(TrainingPlan plan, load_training_plan(path));
  FT_TRY(const BaseModel base, load_base(model, plan.precision, 1));
  if (base.sha256 == plan.base_sha256) return plan;
  return invalid_input(fmt::format(
      "'{}' was made for a model with SHA-256 {}, but that of '{}' is {}", path,
      plan.base_sha256, model, base.sha256));
}

int64_t steps_per_day(const TrainingPlan& plan) {
  return plan.schedule ? plan.schedule->updates_per_day * plan.accumulate : 0;
}

Status apply_schedule(const TrainingPlan& plan, int64_t& stop_after) {
  const int64_t most = steps_per_day(plan);
  if (most == 0) return ok_status();
  FT_TRY(const Target target, load_target(plan.target));
  if (!target.runs_linux) return ok_status();  // the device's days, not ours
  if (stop_after > most)
    return usage_error(fmt::format(
        "--stop-after {}: the plan's energy pays for {} steps a day",
        stop_after, most));
  if (stop_after == 0) stop_after = most;
  return ok_status();
}

Status apply_plan(const TrainingPlan& plan, bool on_device,
                  MethodOptions& method, OptimizerOptions& optimizer) {
  method.decided = true;
  method.method = plan.method;
  method.classes = plan.num_classes;
  for (const LayerChoice& layer : plan.layers) {
    method.target_modules.push_back(layer.module);
    if (layer.r == 0) continue;
    method.rank_pattern.push_back(fmt::format("{}={}", layer.module, layer.r));
    method.alpha_pattern.push_back(
        fmt::format("{}={}", layer.module, 2 * layer.r));
  }
  method.precision = name_of(plan.precision);
  size_t budget = plan.ram_bytes;
  if (budget > 0 && !on_device && !plan.target.empty()) {
    // A microcontroller's kernels need other scratch than this machine's.
    FT_TRY(const Target target, load_target(plan.target));
    if (!target.runs_linux) budget = 0;
  }
  if (budget > 0) method.ram = fmt::format("{}", budget);
  optimizer.settings.optimizer = plan.optimizer;
  optimizer.settings.lr = plan.lr;
  optimizer.settings.accumulate = plan.accumulate;
  optimizer.epochs = plan.epochs;
  return ok_status();
}

}  // namespace ft::cli
