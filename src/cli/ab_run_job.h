// Labelled data played through both arms of an experiment, as requests that a
// runtime answers one by one: what `fieldtune ab run` does.
//
// The key of a sample is its name, so each goes through one arm and a second
// run through the same one. Not for serving (the service of `fieldtune serve`).
#pragma once

#include <string>

#include "cli/data_job.h"
#include "fieldtune/experiment.h"

namespace ft::cli {

struct AbRun {
  std::string store, name, model, policy;
  fieldtune::StoreKey key;
  int busy_ms = 5000;
  DataFlags data;
  bool decide = false;
};

// The report after all of it was counted; and acted on, with `decide`.
Result<fieldtune::ExperimentReport> run_ab(const AbRun& job);

}  // namespace ft::cli
