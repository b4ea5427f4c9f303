// Making an int8 model of a float one, and what that costs in accuracy.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "cli/data_job.h"
#include "cli/options.h"
#include "cli/output.h"
#include "quant/observer.h"

namespace ft::cli {

struct QuantizeJob {
  std::string model, out;
  DataFlags data;
  KernelOptions kernels;
  std::string observer = "min-max";
  double percentile = 99.99, momentum = 0.01;
  size_t samples = 500;  // for calibration, at most; 0: all
  uint64_t seed = 0;     // of their choice and of the split
};

// What `quantize --json` prints. Calibrates on the training part of the data
// and evaluates both models on its test part, or all of it where there is none.
Result<Json> run_quantize_job(const QuantizeJob& job);

}  // namespace ft::cli
