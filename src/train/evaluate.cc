#include "train/evaluate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <thread>

#include "train/answers.h"

namespace ft {
namespace {

struct SampleResult {
  int answer = 0;   // to a single label
  double loss = 0;  // sum over the labels
  size_t right = 0, labels = 1;
};

SampleResult score_class(std::span<const float> logits, int label) {
  const auto best = std::ranges::max_element(logits);
  double sum = 0;
  for (const float z : logits) sum += std::exp(static_cast<double>(z - *best));
  const auto at = static_cast<size_t>(label);
  const auto answer = static_cast<int>(best - logits.begin());
  return {.answer = answer,
          .loss = std::log(sum) - static_cast<double>(logits[at] - *best),
          .right = answer == label};
}

// One row of logits for each label; a label outside of the classes (padding)
// does not count.
SampleResult score_labels(std::span<const float> logits,
                          std::span<const int> labels) {
  const size_t classes = logits.size() / labels.size();
  if (labels.size() == 1) return score_class(logits, labels[0]);
  SampleResult sum{.labels = 0};
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] < 0 || static_cast<size_t>(labels[i]) >= classes) continue;
    const SampleResult r =
        score_class(logits.subspan(i * classes, classes), labels[i]);
    sum.loss += r.loss;
    sum.right += r.right;
    ++sum.labels;
  }
  return sum;
}

double squared_error(std::span<const float> answer,
                     std::span<const float> target) {
  double sum = 0;
  for (size_t i = 0; i < answer.size(); ++i) {
    const double d = static_cast<double>(answer[i]) - target[i];
    sum += d * d;
  }
  return sum / static_cast<double>(std::max<size_t>(answer.size(), 1));
}

class Worker {
 public:
  Worker(Session& session, const Samples& samples, Task task)
      : session_(session),
        samples_(samples),
        task_(task),
        features_(samples.feature_size),
        answer_(static_cast<size_t>(session.program()
                                        .outputs[kAnswerOutput]
                                        .type.shape.num_elements())) {}

  SampleResult run(size_t sample) {
    samples_.fill(sample, -1, features_);
    write_features(session_.input(0), session_.program().inputs[0].type, 0,
                   features_);
    session_.run();
    read_real(session_, kAnswerOutput, answer_);
    const std::span<const float> answer = answer_;
    if (task_ == Task::kClassification)
      return score_labels(answer, samples_.labels_of(sample));
    std::span<const float> target = features_;
    if (!samples_.targets.empty())
      target = samples_.targets.subspan(sample * samples_.target_size,
                                        samples_.target_size);
    return {.answer = 0, .loss = squared_error(answer, target)};
  }

 private:
  Session& session_;
  const Samples& samples_;
  Task task_;
  std::vector<float> features_, answer_;
};

Status check_answer(const Session& session, const Samples& samples,
                    std::span<const size_t> indices, Task task) {
  FT_TRY_STATUS(check_samples(session.program(), samples));
  const TensorType& answer = session.program().outputs[kAnswerOutput].type;
  const auto n = static_cast<size_t>(answer.shape.num_elements());
  if (task == Task::kRegression) {
    const size_t want =
        samples.targets.empty() ? samples.feature_size : samples.target_size;
    if (n == want) return ok_status();
    return invalid_input(fmt::format(
        "the model answers {} values, the data's target has {}", n, want));
  }
  if (samples.labels.empty())
    return invalid_input("the data has no labels, so there is no accuracy");
  if (samples.label_size > 1) {
    if (n % samples.label_size == 0 &&
        static_cast<size_t>(answer.shape[0]) == samples.label_size)
      return ok_status();
    return invalid_input(
        fmt::format("the model answers {}, the data has {} labels a sample",
                    answer.shape.to_string(), samples.label_size));
  }
  for (const size_t i : indices)
    if (samples.labels[i] < 0 || static_cast<size_t>(samples.labels[i]) >= n)
      return invalid_input(
          fmt::format("sample {} has label {}, but the model knows {} classes",
                      i, samples.labels[i], n));
  return ok_status();
}

Evaluation summarize(const std::vector<SampleResult>& results,
                     const Samples& samples, std::span<const size_t> indices,
                     Task task, size_t classes) {
  Evaluation e;
  e.samples = indices.size();
  size_t right = 0, counted = 0;
  for (const SampleResult& r : results) {
    right += r.right;
    counted += r.labels;
  }
  const double n = static_cast<double>(std::max<size_t>(counted, 1));
  for (const SampleResult& r : results) e.loss += r.loss / n;
  if (task == Task::kClassification) {
    e.accuracy = static_cast<double>(right) / n;
    if (samples.label_size > 1) return e;
    e.confusion.assign(classes, std::vector<int>(classes, 0));
    for (size_t i = 0; i < indices.size(); ++i) {
      const int label = samples.labels[indices[i]];
      ++e.confusion[static_cast<size_t>(label)]
                   [static_cast<size_t>(results[i].answer)];
    }
    return e;
  }
  e.mse = e.loss;
  if (samples.labels.empty()) return e;
  std::vector<double> scores;
  std::vector<int> labels;
  for (size_t i = 0; i < indices.size(); ++i) {
    scores.push_back(results[i].loss);
    labels.push_back(samples.labels[indices[i]]);
  }
  e.has_auc =
      std::ranges::count(labels, 0) > 0 && std::ranges::count(labels, 1) > 0;
  if (e.has_auc) e.auc = area_under_roc(scores, labels);
  return e;
}

}  // namespace

double area_under_roc(std::span<const double> scores,
                      std::span<const int> labels) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(
      order, [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  double rank_sum = 0, positives = 0;
  for (size_t i = 0; i < order.size();) {
    size_t end = i;
    while (end < order.size() && scores[order[end]] == scores[order[i]]) ++end;
    const double rank = 0.5 * static_cast<double>(i + 1 + end);  // mean of ties
    for (; i < end; ++i)
      if (labels[order[i]] == 1) {
        rank_sum += rank;
        ++positives;
      }
  }
  const double negatives = static_cast<double>(scores.size()) - positives;
  return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives);
}

Result<Evaluation> evaluate(std::span<Session> sessions, const Samples& samples,
                            std::span<const size_t> indices, Task task) {
  FT_TRY_STATUS(check_answer(sessions[0], samples, indices, task));
  std::vector<SampleResult> results(indices.size());
  const auto work = [&](size_t first) {
    Worker worker(sessions[first], samples, task);
    for (size_t i = first; i < indices.size(); i += sessions.size())
      results[i] = worker.run(indices[i]);
  };
  {
    std::vector<std::jthread> threads;
    for (size_t t = 1; t < sessions.size(); ++t) threads.emplace_back(work, t);
    work(0);
  }
  const TensorType& answer = sessions[0].program().outputs[kAnswerOutput].type;
  return summarize(results, samples, indices, task,
                   static_cast<size_t>(answer.shape.num_elements()));
}

}  // namespace ft
