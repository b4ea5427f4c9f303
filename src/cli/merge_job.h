// Merging an adapter into its base, and what that costs in accuracy.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/data_job.h"
#include "cli/options.h"
#include "cli/output.h"
#include "train/adapted_model.h"
#include "train/evaluate.h"

namespace ft::cli {

struct MergeJob {
  std::string model, out;
  AdapterOptions adapters;
  DataFlags data;  // empty path: the data that the adapter was trained on
  KernelOptions kernels;
};

struct MergeOutcome {
  Json fields;  // what `merge --json` prints
  // Unmerged, merged in float32, merged in the file; only with data.
  std::optional<Evaluation> unmerged, merged_f32, merged_file;
  std::vector<std::string> classes;
};

// The base's .tflite file with the model's adapters folded in.
Result<std::vector<std::byte>> merged_file(const std::string& path,
                                           const AdaptedModel& model);

Result<MergeOutcome> run_merge_job(const MergeJob& job);

}  // namespace ft::cli
