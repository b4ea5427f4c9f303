// Observers: what range of real numbers a quantizer should cover, from values
// seen while calibrating.
//
// The result depends on the values alone; for all but the moving average, not
// on their order or on how they were divided into batches.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ir/quantizer.h"

namespace ft {

struct ObserverSettings {
  enum class Kind : uint8_t {
    kMinMax,         // smallest and largest value
    kMovingAverage,  // of each batch's smallest and largest
    kPercentile,     // leaves out as much at both ends
    kMse,            // least mean squared error of the quantized values
  };
  Kind kind = Kind::kMinMax;
  double momentum = 0.01;     // share of a new batch in the moving average
  double percentile = 99.99;  // of the values, from both ends
};

// "min-max", "moving-average", "percentile" or "mse".
Result<ObserverSettings::Kind> parse_observer(std::string_view word);
std::string_view name_of(ObserverSettings::Kind kind);

struct Range {
  float low = 0, high = 0;
  bool operator==(const Range&) const = default;
};

// Counts of values in bins of equal width around 0. The width is a power of two
// that doubles, merging neighbours, whenever a value lies outside; so the end
// result knows no order.
class Histogram {
 public:
  static constexpr int kHalf = 1024;  // bins on each side of 0

  void add(float value);
  int64_t total() const { return total_; }
  double width() const;
  int64_t count(int bin) const { return counts_[static_cast<size_t>(bin)]; }
  // Lower end of a bin, 0 <= bin < 2 * kHalf.
  double start(int bin) const { return (bin - kHalf) * width(); }
  // The value that a share of all values lies below, within a bin's width.
  double quantile(double share) const;

 private:
  void widen();

  int exponent_ = -140;
  int64_t total_ = 0;
  std::vector<int64_t> counts_ = std::vector<int64_t>(2 * kHalf, 0);
};

class Observer {
 public:
  explicit Observer(const ObserverSettings& settings) : settings_(settings) {}

  void add(std::span<const float> batch);
  int64_t count() const { return count_; }
  bool is_constant() const { return min_ == max_; }
  // The range for `quantizer` (only the error's kind looks at it). Fails,
  // naming `what`, if there were no values or one was not finite.
  Result<Range> range(const Quantizer& quantizer, std::string_view what) const;

 private:
  Range least_error(const Quantizer& quantizer) const;

  ObserverSettings settings_;
  int64_t count_ = 0;
  bool finite_ = true;
  float min_ = 0, max_ = 0;                    // of all
  double average_low_ = 0, average_high_ = 0;  // moving
  Histogram histogram_;                        // percentile and mse
};

}  // namespace ft
