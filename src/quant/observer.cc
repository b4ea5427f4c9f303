#include "quant/observer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ft {
namespace {

using Kind = ObserverSettings::Kind;

constexpr std::pair<std::string_view, Kind> kKinds[] = {
    {"min-max", Kind::kMinMax},
    {"moving-average", Kind::kMovingAverage},
    {"percentile", Kind::kPercentile},
    {"mse", Kind::kMse}};

// Ranges that the search for the least error tries, as shares of the whole.
constexpr int kShares = 100;

double squared_error(const Histogram& histogram, double low, double high,
                     const Quantizer& q) {
  // As steps are chosen for the range: around 0, or holding 0.
  const double most = std::max(std::fabs(low), std::fabs(high));
  const double scale =
      q.symmetric ? most / q.qmax() : (high - low) / (q.qmax() - q.qmin());
  const double zero = q.symmetric ? 0 : std::nearbyint(q.qmin() - low / scale);
  double sum = 0;
  for (int bin = 0; bin < 2 * Histogram::kHalf; ++bin) {
    if (histogram.count(bin) == 0) continue;
    const double v = histogram.start(bin) + histogram.width() / 2;
    const double steps = std::clamp(std::nearbyint(v / scale) + zero,
                                    static_cast<double>(q.qmin()),
                                    static_cast<double>(q.qmax()));
    const double error = (steps - zero) * scale - v;
    sum += static_cast<double>(histogram.count(bin)) * error * error;
  }
  return sum;
}

}  // namespace

Result<Kind> parse_observer(std::string_view word) {
  for (const auto& [name, kind] : kKinds)
    if (name == word) return kind;
  return usage_error(
      fmt::format("no observer '{}'; there are: min-max, moving-average, "
                  "percentile, mse",
                  word));
}

std::string_view name_of(Kind kind) {
  return std::ranges::find(kKinds, kind,
                           [](const auto& row) { return row.second; })
      ->first;
}

double Histogram::width() const { return std::ldexp(1.0, exponent_); }

void Histogram::widen() {
  // Bin i of [-kHalf, kHalf) goes into floor(i / 2): towards the middle from
  // both sides, so that nothing is overwritten before it was read.
  for (int i = 0; i < kHalf; ++i) {
    const auto to = static_cast<size_t>(kHalf + i);
    const auto from = static_cast<size_t>(kHalf + 2 * i);
    counts_[to] = 2 * i < kHalf ? counts_[from] + counts_[from + 1] : 0;
  }
  for (int i = 1; i <= kHalf; ++i) {
    const auto to = static_cast<size_t>(kHalf - i);
    const auto from = static_cast<size_t>(kHalf - std::min(2 * i, kHalf));
    counts_[to] = 2 * i <= kHalf ? counts_[from] + counts_[from + 1] : 0;
  }
  ++exponent_;
}

void Histogram::add(float value) {
  double bin = std::floor(std::ldexp(static_cast<double>(value), -exponent_));
  while (bin < -kHalf || bin >= kHalf) {
    // Nothing to merge yet: straight to the width that the value needs.
    if (total_ == 0)
      exponent_ = std::max(exponent_ + 1, std::ilogb(value) - 10);
    else
      widen();
    bin = std::floor(std::ldexp(static_cast<double>(value), -exponent_));
  }
  ++counts_[static_cast<size_t>(static_cast<int>(bin) + kHalf)];
  ++total_;
}

double Histogram::quantile(double share) const {
  const double wanted = share * static_cast<double>(total_);
  double below = 0;
  for (int bin = 0; bin < 2 * kHalf; ++bin) {
    const auto here = static_cast<double>(count(bin));
    if (here > 0 && below + here >= wanted)
      return start(bin) +
             width() * std::clamp((wanted - below) / here, 0.0, 1.0);
    below += here;
  }
  return start(2 * kHalf);
}

void Observer::add(std::span<const float> batch) {
  if (batch.empty()) return;
  float low = std::numeric_limits<float>::infinity(), high = -low;
  for (const float v : batch) {
    if (!std::isfinite(v)) {
      finite_ = false;
      return;
    }
    low = std::min(low, v);
    high = std::max(high, v);
  }
  if (settings_.kind == Kind::kPercentile || settings_.kind == Kind::kMse)
    for (const float v : batch) histogram_.add(v);
  const bool first = count_ == 0;
  const double share = first ? 1 : settings_.momentum;
  average_low_ += share * (low - average_low_);
  average_high_ += share * (high - average_high_);
  min_ = first ? low : std::min(min_, low);
  max_ = first ? high : std::max(max_, high);
  count_ += static_cast<int64_t>(batch.size());
}

Range Observer::least_error(const Quantizer& quantizer) const {
  const double low = std::min(min_, 0.0f), high = std::max(max_, 0.0f);
  double best_share = 1, best = std::numeric_limits<double>::infinity();
  if (low == high) return {min_, max_};
  for (int i = kShares; i > 0; --i) {
    const double share = static_cast<double>(i) / kShares;
    const double error =
        squared_error(histogram_, share * low, share * high, quantizer);
    if (error >= best) continue;
    best = error;
    best_share = share;
  }
  return {static_cast<float>(best_share * low),
          static_cast<float>(best_share * high)};
}

Result<Range> Observer::range(const Quantizer& quantizer,
                              std::string_view what) const {
  if (!finite_)
    return invalid_input(
        fmt::format("calibration met a value of {} that is not finite", what));
  if (count_ == 0)
    return invalid_input(
        fmt::format("calibration saw no values of {}: it needs samples", what));
  switch (settings_.kind) {
    case Kind::kMinMax: break;
    case Kind::kMovingAverage:
      return Range{static_cast<float>(average_low_),
                   static_cast<float>(average_high_)};
    case Kind::kPercentile: {
      const double share = settings_.percentile / 100;
      const double low = histogram_.quantile(1 - share);
      const double high = histogram_.quantile(share);
      return Range{std::max(min_, static_cast<float>(low)),
                   std::min(max_, static_cast<float>(high))};
    }
    case Kind::kMse: return least_error(quantizer);
  }
  return Range{min_, max_};
}

}  // namespace ft
