#include "quant/observer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"

namespace ft {
namespace {

using Kind = ObserverSettings::Kind;

// Mostly small, with a few far away.
std::vector<float> example() {
  const Random random(17, "observer");
  std::vector<float> values(20000);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = random.normal(i) * (i % 5000 == 3 ? 20.0f : 0.3f) + 0.2f;
  return values;
}

Quantizer int8(bool symmetric) {
  Quantizer q;
  q.format = Quantizer::Format::kInteger;
  q.symmetric = symmetric;
  return q;
}

Range range_of(const ObserverSettings& settings, std::span<const float> values,
               size_t batch, const Quantizer& q) {
  Observer observer(settings);
  for (size_t i = 0; i < values.size(); i += batch)
    observer.add(values.subspan(i, std::min(batch, values.size() - i)));
  return observer.range(q, "x").value();
}

TEST(Observer, ResultsDependOnTheValuesOnly) {
  std::vector<float> values = example();
  for (const Kind kind : {Kind::kMinMax, Kind::kPercentile, Kind::kMse}) {
    const ObserverSettings settings{.kind = kind};
    const Range once = range_of(settings, values, values.size(), int8(false));
    EXPECT_EQ(range_of(settings, values, 7, int8(false)), once);
    std::ranges::sort(values);
    EXPECT_EQ(range_of(settings, values, 100, int8(false)), once);
    std::ranges::reverse(values);
    EXPECT_EQ(range_of(settings, values, 100, int8(false)), once);
  }
}

TEST(Observer, PercentileIsThatOfTheSortedValues) {
  std::vector<float> values = example();
  const ObserverSettings settings{.kind = Kind::kPercentile,
                                  .percentile = 99.5};
  const Range range = range_of(settings, values, 64, int8(true));
  std::ranges::sort(values);
  const auto at = [&](double share) {
    return values[static_cast<size_t>(share *
                                      static_cast<double>(values.size() - 1))];
  };
  // One bin of 2048 over the range of the farthest value.
  const float bin = 2 * std::max(-values.front(), values.back()) / 1024;
  EXPECT_NEAR(range.low, at(0.005), bin);
  EXPECT_NEAR(range.high, at(0.995), bin);
}

double error_of(std::span<const float> values, Range r, const Quantizer& q) {
  const double low = std::min(r.low, 0.0f), high = std::max(r.high, 0.0f);
  const double scale = q.symmetric ? std::max(-low, high) / q.qmax()
                                   : (high - low) / (q.qmax() - q.qmin());
  const double zero = q.symmetric ? 0 : std::nearbyint(q.qmin() - low / scale);
  double sum = 0;
  for (const float v : values) {
    const double steps = std::clamp(std::nearbyint(v / scale) + zero,
                                    static_cast<double>(q.qmin()),
                                    static_cast<double>(q.qmax()));
    sum += std::pow((steps - zero) * scale - v, 2);
  }
  return sum;
}

TEST(Observer, MseIsNearTheBestOfAllSharesByBruteForce) {
  const std::vector<float> values = example();
  for (const bool symmetric : {true, false}) {
    for (const int bits : {3, 4, 8}) {
      Quantizer q = int8(symmetric);
      q.bits = bits;
      const Range all = range_of({}, values, 100, q);
      double best = std::numeric_limits<double>::infinity();
      for (int i = 1; i <= 200; ++i) {
        const float share = static_cast<float>(i) / 200;
        best = std::min(
            best, error_of(values, {share * all.low, share * all.high}, q));
      }
      const double ours =
          error_of(values, range_of({.kind = Kind::kMse}, values, 100, q), q);
      EXPECT_LE(ours, 1.1 * best) << bits << symmetric;
      EXPECT_LT(ours, error_of(values, all, q)) << bits << symmetric;
    }
  }
}

TEST(Observer, MovingAverageFollowsTheBatches) {
  const ObserverSettings settings{.kind = Kind::kMovingAverage,
                                  .momentum = 0.25};
  const std::vector<float> values = {-1, 3, -2, 7, 0, 1};
  const Range range = range_of(settings, values, 2, int8(false));
  EXPECT_FLOAT_EQ(range.low, 0.75f * (0.75f * -1 + 0.25f * -2));
  EXPECT_FLOAT_EQ(range.high, 0.75f * (0.75f * 3 + 0.25f * 7) + 0.25f);
}

TEST(Observer, RefusesNothingAndWhatIsNotFinite) {
  Observer observer({});
  EXPECT_NE(observer.range(int8(true), "'x'").status().message().find("'x'"),
            std::string::npos);
  observer.add(std::vector<float>{1, 1, 1});
  EXPECT_TRUE(observer.is_constant());
  EXPECT_TRUE(observer.range(int8(true), "x").ok());
  observer.add(std::vector<float>{std::numeric_limits<float>::infinity()});
  EXPECT_EQ(observer.range(int8(true), "x").status().code(),
            Code::kInvalidInput);
}

TEST(Histogram, HoldsTheSmallestAndTheLargestFloats) {
  Histogram histogram;
  for (const float v : {0.0f, std::numeric_limits<float>::denorm_min(),
                        std::numeric_limits<float>::max(),
                        std::numeric_limits<float>::lowest(), 1.0f})
    histogram.add(v);
  EXPECT_EQ(histogram.total(), 5);
  EXPECT_LE(histogram.quantile(0), -3.3e38);
  EXPECT_GE(histogram.quantile(1), 3.3e38);
}

}  // namespace
}  // namespace ft
