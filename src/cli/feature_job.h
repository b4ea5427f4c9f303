// --feature-cache: training behind the frozen layers, on what they answer.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "cli/data_job.h"
#include "cli/output.h"
#include "train/feature_cache.h"

namespace ft::cli {

struct FeatureJob {
  std::string path;  // of the file; empty: samples are trained on as they are
  PlanOptions plan;
  bool quiet = false;
};

// Takes the frozen trunk off both models (the same base, `single` with batch 1)
// and gives `data` its features as samples. Returns what to tell of it; empty
// without a path. Refuses augmented data.
Result<Json> train_on_features(const FeatureJob& job, BaseModel& base,
                               BaseModel& single,
                               std::span<const MethodSettings> methods,
                               LoadedData& data);

}  // namespace ft::cli
