// Outcomes added up, and which arm a key has.
#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "adapters/store/experiment_index.h"
#include "adapters/store/experiment_rule.h"

namespace fieldtune {

using ft::usage_error;

const char* name_of(Arm arm) {
  return arm == Arm::kControl ? "control" : "treatment";
}

const char* name_of(ExperimentState state) {
  switch (state) {
    case ExperimentState::kRunning: return "running";
    case ExperimentState::kPromoted: return "promoted";
    case ExperimentState::kRolledBack: return "rolled back";
    case ExperimentState::kStopped: return "stopped";
  }
  return "";
}

const char* name_of(RuleInterval interval) {
  switch (interval) {
    case RuleInterval::kNone: return "none";
    case RuleInterval::kOneLook: return "one-look";
    case RuleInterval::kEveryLook: return "every-look";
  }
  return "";
}

Result<RuleInterval> parse_rule_interval(const std::string& name) {
  for (const RuleInterval known :
       {RuleInterval::kNone, RuleInterval::kOneLook, RuleInterval::kEveryLook})
    if (name == name_of(known)) return known;
  return usage_error(
      "an interval of rules is none, one-look or every-look, "
      "not '" +
      name + "'");
}

const char* name_of(Verdict::Says says) {
  switch (says) {
    case Verdict::Says::kWait: return "wait";
    case Verdict::Says::kUndecided: return "undecided";
    case Verdict::Says::kPromote: return "promote";
    case Verdict::Says::kRollback: return "rollback";
  }
  return "";
}

// A share is a multiple of 2^-1074, its product with 2^64 exact; one that a
// start() took is below 1, so the product fits.
Arm Experiment::arm_of(std::string_view key) const {
  const std::string text = fmt::format("{}|{}|{}", salt, name, key);
  std::array<uint8_t, crypto_generichash_BYTES_MIN> digest{};
  crypto_generichash(digest.data(), digest.size(),
                     reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                     nullptr, 0);
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value |= uint64_t{digest[i]} << (8 * i);
  const auto end = static_cast<uint64_t>(std::ldexp(share, 64));
  return value < end ? Arm::kTreatment : Arm::kControl;
}

std::string Experiment::adapter_of(Arm arm) const {
  const int64_t version = version_of(arm);
  return version == 0 ? std::string() : fmt::format("{}@{}", name, version);
}

void Moments::add(double value) {
  ++count;
  const double distance = value - mean;
  mean += distance / static_cast<double>(count);
  m2 += distance * (value - mean);
}

// Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for
// Computing Sample Variances", 1979.
void Moments::add(const Moments& other) {
  if (other.count == 0) return;
  const auto mine = static_cast<double>(count);
  const auto theirs = static_cast<double>(other.count);
  const double distance = other.mean - mean, all = mine + theirs;
  mean += distance * theirs / all;
  m2 += other.m2 + distance * distance * mine * theirs / all;
  count += other.count;
}

double Moments::variance() const {
  return count < 2 ? 0 : m2 / static_cast<double>(count - 1);
}

namespace {

constexpr double kClassesPerOctave = 8, kLowestClass = 1e-3;  // ms
// What is said of the last class, which has no end: where it would have one.
const double kHighestClass = kLowestClass * std::exp2(255 / kClassesPerOctave);

size_t class_of(double milliseconds) {
  if (!(milliseconds > kLowestClass)) return 0;
  const double at =
      std::ceil(std::log2(milliseconds / kLowestClass) * kClassesPerOctave);
  return static_cast<size_t>(std::clamp(at, 0.0, 255.0));
}

}  // namespace

void LatencyHistogram::add(double milliseconds) {
  ++counts[class_of(milliseconds)];
}

void LatencyHistogram::add(const LatencyHistogram& other) {
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
}

uint64_t LatencyHistogram::count() const {
  uint64_t all = 0;
  for (const uint64_t count : counts) all += count;
  return all;
}

std::pair<double, double> LatencyHistogram::ends_of(uint64_t rank) const {
  uint64_t below = 0;
  size_t at = 0;
  for (; at + 1 < counts.size(); ++at) {
    below += counts[at];
    if (below >= rank) break;
  }
  const auto end = [](size_t i) {
    return kLowestClass * std::exp2(static_cast<double>(i) / kClassesPerOctave);
  };
  return {at == 0 ? 0 : end(at - 1),
          at + 1 < counts.size() ? end(at)
                                 : std::numeric_limits<double>::infinity()};
}

double LatencyHistogram::quantile(double q) const {
  const uint64_t all = count();
  if (all == 0) return 0;
  const double rank = std::ceil(q * static_cast<double>(all));
  const auto [low, high] =
      ends_of(std::clamp(static_cast<uint64_t>(rank), uint64_t{1}, all));
  return std::isfinite(high) ? high : kHighestClass;
}

namespace {

constexpr const char* kReserved[] = {"requests", "accuracy", "latency_ms",
                                     "latency_p99_ms"};

// Above, squares of distances would not be finite.
constexpr double kLargestValue = 1e100;

Status check(const Outcome& outcome) {
  if (outcome.requests < 0 || outcome.requests > ft::store::kMostOutcomes)
    return usage_error(
        fmt::format("an outcome of {} requests, not from 0 to {}",
                    outcome.requests, ft::store::kMostOutcomes));
  if (outcome.latency_ms &&
      !(*outcome.latency_ms >= 0 && *outcome.latency_ms <= kLargestValue))
    return usage_error(fmt::format("a latency of {} ms", *outcome.latency_ms));
  for (const auto& [name, value] : outcome.metrics) {
    if (std::ranges::find(kReserved, name) != std::end(kReserved))
      return usage_error(fmt::format(
          "'{}' is not a metric of one's own: it is counted by itself", name));
    if (!ft::store::is_metric(name))
      return usage_error(fmt::format(
          "'{}' is not a name of a metric: a letter a-z, then up to 63 of a-z, "
          "0-9 and '_'",
          name.substr(0, 64)));
    if (!(std::abs(value) <= kLargestValue))
      return usage_error(fmt::format(
          "metric '{}' is {}: not a number from -1e100 to 1e100", name, value));
  }
  return {};
}

}  // namespace

Status Tally::add(const Outcome& outcome) {
  FT_TRY_STATUS(check(outcome));
  size_t fresh = 0;
  for (const auto& [name, value] : outcome.metrics)
    fresh += !metrics.contains(name);
  if (metrics.size() + fresh > ft::store::kMostMetrics)
    return usage_error(
        fmt::format("more than {} metrics", ft::store::kMostMetrics));
  if (outcome.requests > ft::store::kMostOutcomes - requests)
    return usage_error(fmt::format("more than {} requests are not counted",
                                   ft::store::kMostOutcomes));
  requests += outcome.requests;
  if (outcome.right) metrics["accuracy"].add(*outcome.right ? 1 : 0);
  if (outcome.latency_ms) {
    metrics["latency_ms"].add(*outcome.latency_ms);
    latency.add(*outcome.latency_ms);
  }
  for (const auto& [name, value] : outcome.metrics) metrics[name].add(value);
  return {};
}

void Tally::add(const Tally& other) {
  requests += other.requests;
  for (const auto& [name, moments] : other.metrics) metrics[name].add(moments);
  latency.add(other.latency);
}

}  // namespace fieldtune
