#include "cli/ab_fields.h"

#include <cmath>

#include "cli/store_options.h"

namespace ft::cli {
namespace {

using fieldtune::Arm;
using fieldtune::ArmReport;
using fieldtune::ExperimentReport;
using fieldtune::RuleInterval;

Json version_or_base(int64_t version) {
  return version == 0 ? Json("base") : Json(version);
}

Json null_unless(bool known, double value) {
  return known ? Json(value) : Json();
}

Json arm_fields(const ArmReport& arm, bool as_json) {
  const bool labelled = arm.labelled > 0;
  const bool timed = arm.latency_p99_ms > 0;
  Json fields = {
      {"arm", name_of(arm.arm)},
      {"version", version_or_base(arm.version)},
      {"requests", arm.requests},
      {"labelled", arm.labelled},
      {"right", arm.right},
      {"accuracy", null_unless(labelled, arm.accuracy / 100)},
      {"accuracy_low", null_unless(labelled, arm.accuracy_low / 100)},
      {"accuracy_high", null_unless(labelled, arm.accuracy_high / 100)},
      {"latency_ms", null_unless(timed, arm.latency_ms)},
      {"latency_p99_ms", null_unless(timed, arm.latency_p99_ms)}};
  Json metrics = Json::object();
  for (const auto& [name, m] : arm.metrics) {
    if (!as_json) fields[name] = m.mean;
    metrics[name] = {
        {"count", m.count}, {"mean", m.mean}, {"sd", std::sqrt(m.variance())}};
  }
  if (as_json) fields["metrics"] = metrics;
  return fields;
}

}  // namespace

Json experiment_fields(const fieldtune::Experiment& e) {
  const bool by_interval = e.rules.interval != RuleInterval::kNone;
  const bool every_look = e.rules.interval == RuleInterval::kEveryLook;
  return {{"name", e.name},
          {"experiment", e.id},
          {"state", name_of(e.state)},
          {"control", version_or_base(e.control)},
          {"treatment", e.treatment},
          {"share", e.share},
          {"salt", e.salt},
          {"promote_if", e.rules.promote_if},
          {"rollback_if", e.rules.rollback_if},
          {"least", e.rules.least},
          {"interval", name_of(e.rules.interval)},
          {"confidence", null_unless(by_interval, e.rules.confidence)},
          {"target", every_look ? Json(e.rules.target) : Json()},
          {"started_time", time_or_null(e.started_time)},
          {"ended_time", time_or_null(e.ended_time)},
          {"reason", e.reason}};
}

Json report_fields(const ExperimentReport& report, bool as_json) {
  Json fields = experiment_fields(report.experiment), arms = Json::array();
  for (const ArmReport& arm : report.arms)
    arms.push_back(arm_fields(arm, as_json));
  fields["arms"] = arms;
  fields["verdict"] = name_of(report.verdict.says);
  fields["because"] = report.verdict.sentence;
  return fields;
}

}  // namespace ft::cli
