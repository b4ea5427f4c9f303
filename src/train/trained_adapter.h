// What a training session has learned, as an adapter that can be written.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "adapters/adapter_file.h"
#include "base/result.h"
#include "exec/session.h"
#include "train/step.h"

namespace ft {

// Its settings by name, numbers as numbers.
nlohmann::ordered_json optimizer_fields(const OptimizerSettings& settings);

// The values of the adapter that `step` trains (not of those below it), as its
// file will hold them, and all metadata that the step knows. `session` runs
// `step`, which was compiled from `settings` on the base of this SHA-256.
Result<Adapter> trained_adapter(Session& session, const CompiledStep& step,
                                const StepSettings& settings,
                                const std::string& base_sha256);

// Number of values that training changes, as the file counts them.
size_t trainable_values(const CompiledStep& step);

}  // namespace ft
