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

// The plan's budget becomes --ram: with the stack for a device (`on_device`,
// whose --ram is all RAM), without it for training here.
Status apply_plan(const TrainingPlan& plan, bool on_device,
                  MethodOptions& method, OptimizerOptions& optimizer);

}  // namespace ft::cli
