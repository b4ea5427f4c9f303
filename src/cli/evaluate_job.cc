#include "cli/evaluate_job.h"

#include <cmath>

#include "train/answers.h"

namespace ft::cli {

Task task_of(const Program& inference, const LoadedData& data) {
  const auto answers = static_cast<size_t>(
      inference.outputs[kAnswerOutput].type.shape.num_elements());
  const size_t wanted = data.samples.targets.empty() ? data.samples.feature_size
                                                     : data.samples.target_size;
  // An autoencoder answers its own input; its labels only rank the error.
  return data.samples.labels.empty() || answers == wanted
             ? Task::kRegression
             : Task::kClassification;
}

Result<Evaluation> evaluate_program(const Program& inference,
                                    const EvaluationData& data,
                                    size_t threads) {
  std::vector<Session> sessions;
  FT_TRY(Session first, Session::create(inference));
  sessions.push_back(std::move(first));
  for (size_t i = 1; i < threads; ++i) {
    FT_TRY(Session next, Session::create_sharing(inference, sessions[0]));
    sessions.push_back(std::move(next));
  }
  return evaluate(sessions, data.data->samples, data.indices,
                  task_of(inference, *data.data));
}

Json evaluation_fields(const Evaluation& e, const EvaluationData& data,
                       const std::string& suffix) {
  Json f;
  if (!data.data->samples.labels.empty() && data.data->samples.label_size > 1)
    f["perplexity" + suffix] = number_or_null(std::exp(e.loss));
  if (!e.confusion.empty() || data.data->samples.label_size > 1)
    f["accuracy" + suffix] = e.accuracy;
  else
    f["mse" + suffix] = e.mse;
  if (e.has_auc) f["auc" + suffix] = e.auc;
  f["loss" + suffix] = number_or_null(e.loss);
  f["samples"] = e.samples;
  f["part"] = data.part;
  return f;
}

}  // namespace ft::cli
