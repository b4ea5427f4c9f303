// A whole training run: data, plan, steps, evaluation, adapter file.
//
// Used by `fieldtune train` and the demo alike. Everything is checked before
// the first step; nothing is written before the run has ended or was stopped.
#pragma once

#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "cli/data_job.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/policy_option.h"
#include "cli/report/report.h"
#include "train/evaluate.h"
#include "train/trainer.h"

namespace ft::cli {

struct TrainJob {
  std::string model, out;
  DataFlags data;
  MethodOptions method;
  OptimizerOptions optimizer;
  KernelOptions kernels;
  uint64_t seed = 0;
  std::string init_adapter;            // start from these values
  std::vector<std::string> on_top_of;  // frozen adapters, in order
  PolicyOption policy;                 // of both
  std::string feature_cache;           // file of the frozen layers' answers
  std::string loss_log;                // CSV file to write of each step's loss
  std::string checkpoint;              // default: out + ".checkpoint"
  bool resume = false;
  int64_t checkpoint_every = 0;  // steps; 0: once a minute
  int64_t stop_after = 0;        // steps of this call; 0: no limit
  bool quiet = false;
};

struct TrainOutcome {
  Json fields;  // what `train --json` prints
  Adapter adapter;
  std::string adapter_sha256;
  std::vector<EpochRecord> history;
  Evaluation before, after;
  bool evaluated = false;
  Task task = Task::kClassification;
  std::vector<std::string> classes;
  MemoryMap memory;  // of the step, for pictures
};

// An interrupted run leaves its checkpoint and returns kIo.
Result<TrainOutcome> run_train_job(const TrainJob& job);

}  // namespace ft::cli
