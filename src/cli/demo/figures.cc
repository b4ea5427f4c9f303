#include "cli/demo/figures.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/report/svg.h"

namespace ft::cli {
namespace {

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

double share(int right, int total) {
  return total > 0 ? static_cast<double>(right) / total : 0;
}

std::string bytes_line(const char* label, size_t bytes, const char* note) {
  return fmt::format("  {:<28}{:>14}   {}\n", label, exact_bytes(bytes), note);
}

}  // namespace

WordAccuracy word_accuracy(const ConfusionMatrix& matrix,
                           const std::vector<std::string>& known) {
  int right[2] = {}, total[2] = {};  // [is known]
  for (size_t i = 0; i < matrix.labels.size(); ++i) {
    const bool k = std::ranges::find(known, matrix.labels[i]) != known.end();
    for (size_t j = 0; j < matrix.answers.size(); ++j) {
      total[k] += matrix.counts[i][j];
      if (matrix.labels[i] == matrix.answers[j])
        right[k] += matrix.counts[i][j];
    }
  }
  return {.all = share(right[0] + right[1], total[0] + total[1]),
          .known = share(right[1], total[1]),
          .fresh = share(right[0], total[0])};
}

ReportTable accuracy_table(const DemoFigures& f) {
  const auto row = [&](const std::string& label, double WordAccuracy::*value) {
    return std::vector<std::string>{label, percent(f.before.*value),
                                    percent(f.after.*value),
                                    percent(f.merged.*value)};
  };
  return {.title = "Accuracy on takes that training did not see",
          .columns = {"", "before", "after", "merged int8"},
          .rows = {row(fmt::format("all {} words", f.known_words + f.new_words),
                       &WordAccuracy::all),
                   row(fmt::format("{} words of the base", f.known_words),
                       &WordAccuracy::known),
                   row(fmt::format("{} new words", f.new_words),
                       &WordAccuracy::fresh)}};
}

std::string print_table(const DemoFigures& f) {
  const ReportTable accuracy = accuracy_table(f);
  std::string out = "\n";
  const auto line = [&](const std::vector<std::string>& c) {
    out += fmt::format("  {:<28}{:>14}{:>12}{:>15}\n", c[0], c[1], c[2], c[3]);
  };
  std::vector<std::string> head = accuracy.columns;
  head[0] = "accuracy";
  line(head);
  for (const auto& row : accuracy.rows) line(row);
  out += "\n";
  out += bytes_line("arena", f.arena_bytes, "of a training step, planned");
  out += bytes_line("persistent", f.persistent_bytes,
                    "adapter and optimizer state");
  out += bytes_line("scratch", f.scratch_bytes, "of the largest kernel");
  out += bytes_line("adapter file", f.adapter_bytes, "safetensors");
  out += bytes_line("merged model", f.merged_bytes,
                    fmt::format("base: {}", exact_bytes(f.base_bytes)).c_str());
  out += fmt::format("  {:<28}{:>14}   {}\n", "training step",
                     fmt::format("{:.2f} ms", f.step_ms),
                     "with fresh noise and its features");
  out +=
      fmt::format("  {:<28}{:>14}   {} steps, measuring included\n", "training",
                  fmt::format("{:.1f} s", f.train_seconds), f.steps);
  return out;
}

}  // namespace ft::cli
