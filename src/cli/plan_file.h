// --plan FILE: what `fieldtune plan --search` chose, in the place of the
// options that say the same.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/result.h"
#include "cli/options.h"
#include "search/training_plan.h"

namespace ft::cli {

// After the options of method and optimizer: those that a plan decides exclude
// it.
void add_plan_file(CLI::App& app, std::string& path);

// Refuses a plan that was made for another model than the file `model`.
Result<TrainingPlan> load_plan_for(const std::string& model,
                                   const std::string& path);

// The plan's budget becomes --ram, for training here (not `on_device`) only
// where its target runs Linux, as this machine does.
Status apply_plan(const TrainingPlan& plan, bool on_device,
                  MethodOptions& method, OptimizerOptions& optimizer);

// Steps that the plan's schedule has for a day; 0: it has none.
int64_t steps_per_day(const TrainingPlan& plan);

// Training on a machine that runs Linux stops after a day's steps, as
// --stop-after does, and refuses more than those.
Status apply_schedule(const TrainingPlan& plan, int64_t& stop_after);

}  // namespace ft::cli
