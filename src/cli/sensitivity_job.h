// Which layers of a model are worth adapting to the user's data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/data_job.h"
#include "cli/options.h"
#include "cli/output.h"

namespace ft::cli {

struct SensitivityJob {
  std::string model;
  DataFlags data;
  KernelOptions kernels;
  std::vector<std::string> target_modules;
  std::string precision = "mixed", loss = "auto", ram;
  bool new_head = false;
  int r = 16;
  int seq_len = 0;
  size_t samples = 64;        // to measure with, at most; 0: all
  int64_t head_samples = 64;  // that a new head sees first, at most
  double head_lr = 0.01;
  uint64_t seed = 0;
  bool quiet = false;
};

// What `sensitivity --json` prints: `layers` in the model's order, each with
// the fields of LayerSensitivity, `fisher_share` of the sum over all layers,
// and the ranks and outputs that hold nine tenths of its energy.
Result<Json> run_sensitivity_job(const SensitivityJob& job);

}  // namespace ft::cli
