// Accuracy, error and confusion of a model on samples.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "exec/session.h"
#include "train/samples.h"

namespace ft {

struct Evaluation {
  size_t samples = 0;
  double accuracy = 0;  // share of right answers; classification only
  double mse = 0;       // mean squared error; regression only
  double auc = 0;       // of the error as a score of label 1, if there are both
  bool has_auc = false;
  double loss = 0;  // mean cross-entropy (of all labels) or mse
  // [label][answer]; empty where a sample has several labels.
  std::vector<std::vector<int>> confusion;
};

enum class Task { kClassification, kRegression };

// Runs each of `indices` through the inference programs, which must have batch
// 1 and an answer (see answers.h). One session is used by one
// thread; samples are dealt out to the sessions and the sums are taken in order
// of the samples, so that the result does not depend on how many there are.
Result<Evaluation> evaluate(std::span<Session> sessions, const Samples& samples,
                            std::span<const size_t> indices, Task task);

// Area under the ROC curve of `scores` for binary labels (ties count half).
double area_under_roc(std::span<const double> scores,
                      std::span<const int> labels);

}  // namespace ft
