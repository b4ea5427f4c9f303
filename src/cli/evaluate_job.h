// Evaluating a compiled inference program on loaded data, for eval and merge.
#pragma once

#include <string>

#include "cli/data_job.h"
#include "cli/output.h"
#include "train/evaluate.h"

namespace ft::cli {

// Classification where the data has labels that the answer can hold, else (an
// autoencoder, a forecast) regression.
Task task_of(const Program& inference, const LoadedData& data);

Result<Evaluation> evaluate_program(const Program& inference,
                                    const EvaluationData& data, size_t threads);

// accuracy (or mse, auc), loss, samples, part; `suffix` is appended to the
// metric's name ("_int8").
Json evaluation_fields(const Evaluation& e, const EvaluationData& data,
                       const std::string& suffix);

}  // namespace ft::cli
