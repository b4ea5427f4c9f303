// What the demo shows, as plain figures, and how it prints them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/report/report.h"

namespace ft::cli {

// Shares of right answers, 0 to 1.
struct WordAccuracy {
  double all = 0, known = 0, fresh = 0;
};

struct DemoFigures {
  WordAccuracy before, after, merged;
  size_t known_words = 0, new_words = 0;
  size_t train_takes = 0, test_takes = 0;  // of each word
  size_t base_bytes = 0, merged_bytes = 0;
  size_t arena_bytes = 0, persistent_bytes = 0, scratch_bytes = 0;
  size_t adapter_bytes = 0;
  size_t steps = 0;
  double step_ms = 0, train_seconds = 0;
};

// Of the rows of `matrix` that `known` names, of the others, and of all.
WordAccuracy word_accuracy(const ConfusionMatrix& matrix,
                           const std::vector<std::string>& known);

// The accuracies as rows (all, known, new) by columns (before, after, merged).
ReportTable accuracy_table(const DemoFigures& figures);

// Lines for a terminal, at most 80 columns wide.
std::string print_table(const DemoFigures& figures);

}  // namespace ft::cli
