// How experiments are shown: JSON, or a table of both arms.
#pragma once

#include "cli/output.h"
#include "fieldtune/experiment.h"

namespace ft::cli {

Json experiment_fields(const fieldtune::Experiment& experiment);
// With both arms and the verdict; `as_json`: with all of each metric.
Json report_fields(const fieldtune::ExperimentReport& report, bool as_json);

}  // namespace ft::cli
