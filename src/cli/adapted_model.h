// A base model with an adapter beside it, ready to run: what eval, run, merge
// and bench start from.
#pragma once

#include <optional>
#include <string>

#include "adapters/adapter_file.h"
#include "base/result.h"
#include "train/step.h"

namespace ft::cli {

struct AdaptedModel {
  BaseModel base;  // in the adapter's precision, batch 1
  std::optional<Adapter> adapter;
  MethodSettings method;  // of the adapter
  Precision precision = Precision::kMixed;
  CompiledStep step;  // inference; parameters hold the adapter
};

// An empty `adapter_path` gives the base alone. `seq_len` 0 is the adapter's.
// Refuses an adapter of another
// base, with missing or surplus tensors, or of other shapes.
Result<AdaptedModel> load_adapted_model(const std::string& model_path,
                                        const std::string& adapter_path,
                                        const PlanOptions& plan,
                                        int seq_len = 0);

// Makes the adapter's tensors the initial values of the program's parameters.
Status install_adapter(const Adapter& adapter, CompiledStep& step);

}  // namespace ft::cli
