// Confusion matrices: right answers in one hue, wrong ones in another, the
// strength being the share of the row.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/report/pictures.h"
#include "cli/report/svg.h"

namespace ft::cli {
namespace {

constexpr double kLetterWidth = 6.6;  // of the 11 px labels, on average
constexpr size_t kLongestName = 14;

size_t longest(const std::vector<std::string>& names) {
  size_t letters = 1;
  for (const std::string& name : names)
    letters = std::max(letters, std::min(name.size(), kLongestName));
  return letters;
}

class ConfusionDrawing {
 public:
  explicit ConfusionDrawing(const ConfusionMatrix& matrix)
      : matrix_(matrix),
        cell_(std::clamp(
            310.0 / static_cast<double>(
                        std::max(matrix.labels.size(), matrix.answers.size())),
            4.0, 34.0)),
        left_(34 + static_cast<double>(longest(matrix.labels)) * kLetterWidth),
        top_(30 +
             static_cast<double>(longest(matrix.answers)) * kLetterWidth * 0.8),
        svg_(left_ + cell_ * static_cast<double>(matrix.answers.size()) + 44,
             top_ + cell_ * static_cast<double>(matrix.labels.size()) + 8,
             "confusion", "Confusion matrix: " + matrix.title) {}

  std::string draw() && {
    draw_labels();
    for (size_t row = 0; row < matrix_.labels.size(); ++row) draw_row(row);
    return std::move(svg_).finish();
  }

 private:
  double x(size_t column) const {
    return left_ + cell_ * static_cast<double>(column);
  }
  double y(size_t row) const { return top_ + cell_ * static_cast<double>(row); }

  void draw_labels() {
    // Names that would overlap are thinned out.
    const auto every = static_cast<size_t>(std::ceil(12 / cell_));
    for (size_t i = 0; i < matrix_.labels.size(); i += every)
      svg_.text(left_ - 7, y(i) + cell_ / 2 + 4,
                shorten(matrix_.labels[i], kLongestName), "class end");
    for (size_t i = 0; i < matrix_.answers.size(); i += every)
      svg_.text(
          0, 0, shorten(matrix_.answers[i], kLongestName), "class",
          fmt::format("transform=\"translate({:.6g} {:.6g}) rotate(-50)\"",
                      x(i) + cell_ / 2 + 3, top_ - 7));
    svg_.text(0, 0, "label", "axis mid",
              fmt::format("transform=\"translate(12 {:.6g}) rotate(-90)\"",
                          (top_ + y(matrix_.labels.size())) / 2));
    svg_.text((left_ + x(matrix_.answers.size())) / 2, 12, "answer",
              "axis mid");
  }

  void draw_row(size_t row) {
    int total = 0;
    for (const int count : matrix_.counts[row]) total += count;
    for (size_t column = 0; column < matrix_.answers.size(); ++column)
      draw_cell(row, column, total);
  }

  void draw_cell(size_t row, size_t column, int total) {
    const int count = matrix_.counts[row][column];
    const bool right = matrix_.labels[row] == matrix_.answers[column];
    const double share = total > 0 ? double(count) / total : 0;
    const double gap = cell_ > 10 ? 1 : 0.25;
    svg_.open(fmt::format("label {}, answer {}: {} of {}", matrix_.labels[row],
                          matrix_.answers[column], count, total));
    svg_.rect(x(column) + gap, y(row) + gap, cell_ - 2 * gap, cell_ - 2 * gap,
              right ? "cell empty diagonal" : "cell empty", "rx=\"2\"");
    if (count > 0)
      // A single mistake among many must still be seen.
      svg_.rect(
          x(column) + gap, y(row) + gap, cell_ - 2 * gap, cell_ - 2 * gap,
          right ? "cell right" : "cell wrong",
          fmt::format("rx=\"2\" fill-opacity=\"{:.3g}\"", 0.18 + 0.82 * share));
    if (count > 0 && cell_ >= 20)
      svg_.text(x(column) + cell_ / 2, y(row) + cell_ / 2 + 4,
                std::to_string(count),
                share > 0.5 ? "count on-dark mid" : "count mid");
    svg_.close();
  }

  const ConfusionMatrix& matrix_;
  double cell_, left_, top_;
  Svg svg_;
};

}  // namespace

std::string draw_confusion(const ConfusionMatrix& matrix) {
  if (matrix.labels.empty() || matrix.answers.empty()) return "";
  return ConfusionDrawing(matrix).draw();
}

double accuracy_of(const ConfusionMatrix& matrix) {
  int right = 0, total = 0;
  for (size_t i = 0; i < matrix.labels.size(); ++i)
    for (size_t j = 0; j < matrix.answers.size(); ++j) {
      total += matrix.counts[i][j];
      if (matrix.labels[i] == matrix.answers[j]) right += matrix.counts[i][j];
    }
  return total > 0 ? double(right) / total : 0;
}

}  // namespace ft::cli
