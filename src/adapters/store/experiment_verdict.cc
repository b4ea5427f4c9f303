// What rules say of what was counted.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "adapters/store/experiment_rule.h"
#include "adapters/store/experiment_statistics.h"

namespace ft::store {
namespace {

using fieldtune::ExperimentRules;
using fieldtune::LatencyHistogram;
using fieldtune::Moments;
using fieldtune::RuleInterval;
using fieldtune::Tally;
using fieldtune::Verdict;

constexpr double kPercent = 100, kP99 = 0.99;

// A metric of one arm as rules see it.
struct Measured {
  int64_t count = 0;
  double value = 0;
  Moments moments = {};
  const LatencyHistogram* latency = nullptr;  // of a quantile
};

Measured measure(const std::string& metric, const Tally& tally) {
  const bool p99 = metric == "latency_p99_ms";
  const auto at = tally.metrics.find(p99 ? "latency_ms" : metric);
  if (at == tally.metrics.end()) return {};
  Measured m{at->second.count, at->second.mean, at->second};
  if (p99) {
    m.value = tally.latency.quantile(kP99);
    m.latency = &tally.latency;
  }
  if (metric == "accuracy") {
    const Share share{right_of(at->second), at->second.count};
    if (share.count > 0) m.value = kPercent * share.value();
  }
  return m;
}

// Of treatment - factor * control, in the units of the rule.
Interval difference_of(const Clause& clause, const Measured& treatment,
                       const Measured& control, const Reach& reach) {
  if (treatment.latency != nullptr)
    return interval_of_difference(*treatment.latency, *control.latency, kP99,
                                  clause.factor, reach);
  if (clause.metric != "accuracy")
    return interval_of_difference(treatment.moments, control.moments,
                                  clause.factor, reach);
  const Share t{right_of(treatment.moments), treatment.count};
  const Share c{right_of(control.moments), control.count};
  const Interval i = interval_of_difference(t, c, clause.factor, reach);
  return {kPercent * i.low, kPercent * i.high};
}

// Values that differ only by the rounding of the sum count as equal.
bool holds(Compare compare, double left, double right, double scale) {
  const double slack = 1e-12 * scale;
  switch (compare) {
    case Compare::kAtLeast: return left >= right - slack;
    case Compare::kAbove: return left > right + slack;
    case Compare::kAtMost: return left <= right + slack;
    case Compare::kBelow: return left < right - slack;
  }
  return false;
}

// "treatment - control is in -1 to 2 with 95 % confidence at every look".
std::string sentence_of(const Clause& clause, const ExperimentRules& rules,
                        const Interval& seen) {
  const std::string less =
      clause.factor == 0   ? std::string()
      : clause.factor == 1 ? " - control"
                           : fmt::format(" - {:g} * control", clause.factor);
  return fmt::format(
      "treatment{} is in {:.4g} to {:.4g} with {:g} % "
      "confidence {}",
      less, seen.low, seen.high, kPercent * rules.confidence,
      rules.interval == RuleInterval::kOneLook ? "for one look"
                                               : "at every look");
}

Finding judge_clause(const Clause& clause, const ExperimentRules& rules,
                     const Tally& treatment, const Tally& control) {
  const Measured t = measure(clause.metric, treatment);
  const Measured c = measure(clause.metric, control);
  const bool by_interval = rules.interval != RuleInterval::kNone;
  const int64_t least = std::max<int64_t>(rules.least, by_interval ? 2 : 1);
  if (t.count < least || c.count < least)
    return {Finding::Says::kWaits,
            fmt::format("{} has {} values in control and {} in treatment, "
                        "each needs {}",
                        clause.metric, c.count, t.count, least)};
  const double middle = t.value - clause.factor * c.value;
  Interval seen{middle, middle};
  if (by_interval)
    seen = difference_of(
        clause, t, c,
        reach_of(rules, count_of(t.count, c.count, clause.factor)));
  const bool upwards =
      clause.compare == Compare::kAtLeast || clause.compare == Compare::kAbove;
  const double scale = std::abs(t.value) + std::abs(clause.factor * c.value) +
                       std::abs(clause.offset);
  const bool does = holds(clause.compare, upwards ? seen.low : seen.high,
                          clause.offset, scale);
  std::string sentence =
      fmt::format("{} {}: {:.6g} with control {:.6g}", text_of({{clause}}),
                  does ? "holds" : "does not hold", t.value, c.value);
  if (by_interval)
    sentence += fmt::format(" ({})", sentence_of(clause, rules, seen));
  return {does ? Finding::Says::kHolds : Finding::Says::kDoesNot, sentence};
}

}  // namespace

int64_t right_of(const Moments& accuracy) {
  return std::llround(accuracy.mean * static_cast<double>(accuracy.count));
}

Finding judge(const Rule& rule, const ExperimentRules& rules,
              const Tally& treatment, const Tally& control) {
  Finding all{Finding::Says::kHolds, ""};
  for (const Clause& clause : rule.clauses) {
    const Finding one = judge_clause(clause, rules, treatment, control);
    if (!all.sentence.empty()) all.sentence += "; ";
    all.sentence += one.sentence;
    if (all.says == Finding::Says::kWaits) continue;
    if (one.says != Finding::Says::kHolds) all.says = one.says;
  }
  return all;
}

Result<Verdict> judge(const ExperimentRules& rules, const Tally& treatment,
                      const Tally& control) {
  if (rules.promote_if.empty() && rules.rollback_if.empty())
    return Verdict{Verdict::Says::kUndecided, "there are no rules"};
  std::string unheld, held;
  bool waits = false;
  const auto ask = [&](const std::string& text) -> Result<bool> {
    if (text.empty()) return false;
    FT_TRY(const Rule rule, parse_rule(text));
    const Finding finding = judge(rule, rules, treatment, control);
    if (finding.says == Finding::Says::kHolds) {
      held = finding.sentence;
      return true;
    }
    waits = waits || finding.says == Finding::Says::kWaits;
    if (unheld.find(finding.sentence) == std::string::npos)
      unheld += (unheld.empty() ? "" : "; ") + finding.sentence;
    return false;
  };
  FT_TRY(const bool back, ask(rules.rollback_if));
  if (back) return Verdict{Verdict::Says::kRollback, held};
  const bool rollback_waits = waits;
  FT_TRY(const bool promote, ask(rules.promote_if));
  if (promote && !rollback_waits) return Verdict{Verdict::Says::kPromote, held};
  return Verdict{waits ? Verdict::Says::kWait : Verdict::Says::kUndecided,
                 unheld};
}

}  // namespace ft::store
