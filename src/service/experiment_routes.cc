// A/B: the versions of an adapter that are being compared on live requests.
#include "service/parts.h"

namespace ft::service {
namespace {

using fieldtune::ArmReport;

Json arm_fields(const ArmReport& arm) {
  return {{"arm", fieldtune::name_of(arm.arm)},
          {"version", version_or_null(arm.version)},
          {"requests", arm.requests},
          {"labelled", arm.labelled},
          {"right", arm.right},
          {"accuracy", arm.accuracy},
          {"accuracy_low", arm.accuracy_low},
          {"accuracy_high", arm.accuracy_high},
          {"latency_ms", arm.latency_ms},
          {"latency_p99_ms", arm.latency_p99_ms}};
}

// Calls `visit` with the report of each that runs.
void each_report(Parts& parts, const auto& visit) {
  if (!parts.live) return;
  for (const fieldtune::Experiment& e : parts.live->running())
    if (const auto report = parts.live->report(e.name); report.ok())
      visit(*report);
}

}  // namespace

Json experiment_fields(Parts& parts) {
  Json list = Json::array();
  each_report(parts, [&](const fieldtune::ExperimentReport& report) {
    Json arms = Json::array();
    for (const ArmReport& arm : report.arms) arms.push_back(arm_fields(arm));
    list.push_back({{"adapter", report.experiment.name},
                    {"share", report.experiment.share},
                    {"promote_if", report.experiment.rules.promote_if},
                    {"rollback_if", report.experiment.rules.rollback_if},
                    {"verdict", report.verdict.sentence},
                    {"arms", arms}});
  });
  return list;
}

Reply list_experiments(Parts& parts, const Input&) {
  std::string problem = parts.live_problem;
  if (parts.live) {
    if (const Status last = parts.live->last_error(); !last.ok())
      problem = last.message();
  }
  return Json{{"experiments", experiment_fields(parts)}, {"problem", problem}};
}

void write_experiments(Parts& parts, PrometheusText& out) {
  struct Figure {
    const char *name, *type, *help;
    double (*of)(const ArmReport& arm);
  };
  // Gauges: an experiment that ends is gone, and the next begins at 0.
  constexpr Figure kFigures[] = {
      {"fieldtune_experiment_requests", "gauge",
       "Requests of each arm of a running experiment.",
       [](const ArmReport& a) { return static_cast<double>(a.requests); }},
      {"fieldtune_experiment_labelled", "gauge",
       "Of them those whose right answer was told.",
       [](const ArmReport& a) { return static_cast<double>(a.labelled); }},
      {"fieldtune_experiment_accuracy_percent", "gauge",
       "Right answers among those.",
       [](const ArmReport& a) { return a.accuracy; }},
      {"fieldtune_experiment_latency_milliseconds", "gauge",
       "Mean time of an inference.",
       [](const ArmReport& a) { return a.latency_ms; }},
  };
  std::vector<fieldtune::ExperimentReport> reports;
  each_report(parts, [&](const auto& report) { reports.push_back(report); });
  if (reports.empty()) return;
  for (const Figure& figure : kFigures) {
    out.family(figure.name, figure.type, figure.help);
    for (const auto& report : reports)
      for (const ArmReport& arm : report.arms)
        out.sample({{"adapter", report.experiment.name},
                    {"arm", fieldtune::name_of(arm.arm)},
                    {"version", std::to_string(arm.version)}},
                   figure.of(arm));
  }
}

}  // namespace ft::service
