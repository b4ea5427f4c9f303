#include "cli/report_page.h"

#include <fmt/format.h>

#include "cli/output.h"
#include "cli/report/report.h"
#include "cli/report/svg.h"

namespace ft::cli {
namespace {

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

std::vector<KeyFigure> key_figures(const TrainOutcome& o) {
  std::vector<KeyFigure> figures;
  if (o.evaluated && o.task == Task::kClassification)
    figures.push_back({.label = "accuracy after",
                       .value = percent(o.after.accuracy),
                       .note = "before: " + percent(o.before.accuracy)});
  if (o.evaluated && o.task == Task::kRegression)
    figures.push_back({.label = "mean squared error after",
                       .value = fmt::format("{:.4g}", o.after.mse),
                       .note = fmt::format("before: {:.4g}", o.before.mse)});
  const auto add_bytes = [&](const char* label, const char* key,
                             const std::string& note) {
    const auto bytes = o.fields[key].get<size_t>();
    figures.push_back({.label = label,
                       .value = format_bytes(static_cast<double>(bytes)),
                       .note = exact_bytes(bytes) + note});
  };
  add_bytes("RAM of the step", "ram_bytes", ": arena + persistent + scratch");
  add_bytes("adapter file", "adapter_bytes", "");
  if (o.fields["step_ms"].is_number())
    figures.push_back(
        {.label = "time of a step",
         .value = fmt::format("{:.3f} ms", o.fields["step_ms"].get<double>()),
         .note = "median on this machine"});
  return figures;
}

std::vector<CurvePoint> curve(const std::vector<EpochRecord>& history) {
  std::vector<CurvePoint> points;
  for (const EpochRecord& r : history)
    points.push_back({.epoch = r.epoch + 1,
                      .train_loss = r.train_loss,
                      .validation_loss = r.val_loss,
                      .validation_accuracy = r.val_accuracy});
  return points;
}

ConfusionMatrix confusion(const char* title, const TrainOutcome& o,
                          const Evaluation& e) {
  ConfusionMatrix matrix{
      .title = title, .labels = {}, .answers = {}, .counts = e.confusion};
  for (size_t c = 0; c < e.confusion.size(); ++c)
    matrix.labels.push_back(c < o.classes.size() ? o.classes[c]
                                                 : fmt::format("{}", c));
  matrix.answers = matrix.labels;
  return matrix;
}

ReportTable plan_table(const TrainOutcome& o) {
  ReportTable table{
      .title = "The run", .columns = {"field", "value"}, .rows = {}};
  for (const auto& [key, value] : o.fields.items())
    if (value.is_primitive())
      table.rows.push_back(
          {key, value.is_string() ? value.get<std::string>() : value.dump()});
  return table;
}

}  // namespace

ReportData train_report(const TrainJob& job, const TrainOutcome& o) {
  ReportData data{.title = "fieldtune training report",
                  .subtitle = fmt::format(
                      "{} adapted to {} by {}", job.model,
                      job.data.text.empty() ? job.data.path : job.data.text,
                      job.method.method),
                  .figures = key_figures(o),
                  .memory = o.memory,
                  .curve = curve(o.history),
                  .confusions = {},
                  .tables = {plan_table(o)},
                  .command = {}};
  if (o.evaluated && !o.after.confusion.empty()) {
    data.confusions.push_back(confusion("before", o, o.before));
    data.confusions.push_back(confusion("after", o, o.after));
  }
  return data;
}

std::string render_train_report(const TrainJob& job,
                                const TrainOutcome& outcome) {
  return render_report(train_report(job, outcome));
}

}  // namespace ft::cli
