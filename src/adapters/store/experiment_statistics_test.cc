#include "adapters/store/experiment_statistics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/random.h"

namespace ft::store {
namespace {

using fieldtune::Arm;
using fieldtune::Experiment;
using fieldtune::LatencyHistogram;
using fieldtune::Moments;

Moments moments_of(const std::vector<double>& values) {
  Moments m;
  for (const double v : values) m.add(v);
  return m;
}

TEST(Statistics, QuantilesAsTablesHaveThem) {
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-12);
  EXPECT_NEAR(normal_quantile(0.5), 0, 1e-12);
  EXPECT_NEAR(normal_quantile(1e-6), -4.753424308822899, 1e-9);
  // Closed forms for 1, 2 and 4 degrees of freedom (Shaw, 2006).
  for (const double p : {0.6, 0.9, 0.975, 0.9995}) {
    const double a = 4 * p * (1 - p);
    EXPECT_NEAR(student_upper_point(1 - p, 1),
                std::tan(std::numbers::pi * (p - 0.5)),
                1e-9 * student_upper_point(1 - p, 1));
    EXPECT_NEAR(student_upper_point(1 - p, 2), 2 * (p - 0.5) * std::sqrt(2 / a),
                1e-9 * student_upper_point(1 - p, 2));
    const double q = std::cos(std::acos(std::sqrt(a)) / 3) / std::sqrt(a);
    EXPECT_NEAR(student_upper_point(1 - p, 4), 2 * std::sqrt(q - 1),
                1e-9 * student_upper_point(1 - p, 4));
  }
  EXPECT_NEAR(student_upper_point(0.025, 10), 2.2281388520, 1e-9);
  EXPECT_NEAR(student_upper_point(0.025, 30), 2.0422724563, 1e-9);
  EXPECT_NEAR(student_upper_point(0.005, 120), 2.6174, 5e-5);
  // Far out it is a power: P(T > t) of 2 degrees is 1 / (2 t^2).
  EXPECT_NEAR(student_upper_point(5e-41, 2), 1e20, 1e11);
  EXPECT_NEAR(student_upper_point(0.025, 9e6), normal_quantile(0.975), 1e-6);
}

// Newcombe's own examples (1998, table II, method 10), and Wilson's interval in
// the first of the two papers (table I, method 3).
TEST(Statistics, SharesAsNewcombeHasThem) {
  const Interval one = interval_of(Share{81, 263}, one_look(0.95));
  EXPECT_NEAR(one.low, 0.2553, 5e-5);
  EXPECT_NEAR(one.high, 0.3662, 5e-5);
  const Interval none = interval_of(Share{0, 20}, one_look(0.95));
  EXPECT_EQ(none.low, 0);
  EXPECT_NEAR(none.high, 0.1611, 5e-5);
  const struct {
    Share first, second;
    double low, high;
  } cases[] = {{{56, 70}, {48, 80}, 0.0524, 0.3339},
               {{9, 10}, {3, 10}, 0.1705, 0.8090},
               {{6, 7}, {2, 7}, 0.0582, 0.8062},
               {{5, 56}, {0, 29}, -0.0381, 0.1926},
               {{0, 10}, {0, 20}, -0.1611, 0.2775},
               {{0, 10}, {0, 10}, -0.2775, 0.2775},
               {{10, 10}, {0, 20}, 0.6791, 1.0000},
               {{10, 10}, {0, 10}, 0.6075, 1.0000}};
  for (const auto& c : cases) {
    const Interval i =
        interval_of_difference(c.first, c.second, 1, one_look(0.95));
    EXPECT_NEAR(i.low, c.low, 5e-5) << c.first.right << "/" << c.first.count;
    EXPECT_NEAR(i.high, c.high, 5e-5) << c.first.right << "/" << c.first.count;
  }
}

// Of three values each with equal variances Welch has 4 degrees of freedom:
// means 2 and 5, variances 1, so 2.7764451052 * sqrt(2 / 3).
TEST(Statistics, MeansAsWelchHasThem) {
  const Interval i = interval_of_difference(
      moments_of({1, 2, 3}), moments_of({4, 5, 6}), 1, one_look(0.95));
  EXPECT_NEAR(i.low, -3 - 2.7764451052 * std::sqrt(2. / 3), 1e-9);
  EXPECT_NEAR(i.high, -3 + 2.7764451052 * std::sqrt(2. / 3), 1e-9);
  // One mean: Student's, with 2 degrees of freedom.
  const Interval one = interval_of(moments_of({1, 2, 3}), one_look(0.95));
  EXPECT_NEAR(one.high, 2 + 4.3026527297 / std::sqrt(3), 1e-9);
  // A factor is as good as values that were multiplied.
  const auto a = moments_of({1.2, 1.9, 2.5, 3.1, 2.2, 1.7});
  const Interval times =
      interval_of_difference(a, moments_of({2, 3, 1, 4}), 1.1, one_look(0.9));
  const Interval multiplied = interval_of_difference(
      a, moments_of({2.2, 3.3, 1.1, 4.4}), 1, one_look(0.9));
  EXPECT_NEAR(times.low, multiplied.low, 1e-12);
  EXPECT_NEAR(times.high, multiplied.high, 1e-12);
}

// How often the interval has the true difference: 95 % if it keeps its word.
TEST(Statistics, IntervalsCoverAsTheySay) {
  const Random random(37, "coverage");
  uint64_t at = 0;
  int shares = 0, means = 0;
  constexpr int kRounds = 4000;
  const Reach reach = one_look(0.95);
  for (int i = 0; i < kRounds; ++i) {
    Share t{0, 60}, c{0, 240};
    for (int n = 0; n < 60; ++n) t.right += random.uniform(at++) < 0.93;
    for (int n = 0; n < 240; ++n) c.right += random.uniform(at++) < 0.9;
    const Interval s = interval_of_difference(t, c, 1, reach);
    shares += s.low <= 0.03 && 0.03 <= s.high;
    Moments a, b;
    for (int n = 0; n < 12; ++n) a.add(random.normal(at++) * 3);
    for (int n = 0; n < 40; ++n) b.add(random.normal(at++) + 1);
    const Interval m = interval_of_difference(a, b, 1, reach);
    means += m.low <= -1 && -1 <= m.high;
  }
  // 4000 rounds: a standard deviation of 0.35 points.
  EXPECT_NEAR(shares / double{kRounds}, 0.95, 0.015) << "seed 37";
  EXPECT_NEAR(means / double{kRounds}, 0.95, 0.015) << "seed 37";
}

TEST(Statistics, MomentsAddUp) {
  const Random random(38, "moments");
  Moments all, parts[3];
  for (uint64_t i = 0; i < 1000; ++i) {
    const double v = 1e6 + random.normal(i);
    all.add(v);
    parts[i % 3].add(v);
  }
  Moments sum;
  for (const Moments& part : parts) sum.add(part);
  EXPECT_EQ(sum.count, all.count);
  EXPECT_NEAR(sum.mean, all.mean, 1e-9);
  EXPECT_NEAR(sum.variance(), all.variance(), 1e-6);
}

TEST(Statistics, AccuracyStaysExact) {
  Moments all;
  int64_t right = 0;
  const Random random(39, "accuracy");
  for (uint64_t i = 0; i < 20000; ++i) {
    Moments part;
    for (uint64_t n = 0; n < 7; ++n) {
      const bool is = random.uniform(7 * i + n) < 0.83;
      part.add(is ? 1 : 0);
      right += is;
    }
    all.add(part);
  }
  EXPECT_EQ(right_of(all), right) << "seed 39";
}

TEST(Statistics, QuantilesOfLatency) {
  LatencyHistogram none;
  EXPECT_EQ(none.quantile(0.99), 0);
  const Random random(40, "latency");
  std::vector<double> values;
  LatencyHistogram classes;
  for (uint64_t i = 0; i < 10000; ++i) {
    values.push_back(std::exp(random.normal(i)));
    classes.add(values.back());
  }
  std::ranges::sort(values);
  for (const double q : {0.01, 0.5, 0.9, 0.99}) {
    const double exact = values[static_cast<size_t>(q * 10000) - 1];
    EXPECT_GE(classes.quantile(q), exact) << q;
    EXPECT_LE(classes.quantile(q), exact * 1.091) << q;
  }
  for (const double v : {0.0, 1e-9, 1e-3, 1e300}) classes.add(v);
}

// Ranks as tables of the sign test have them: of 20 values the 6th and 15th
// enclose the median with at least 95 %, of 10 the 2nd and 9th; of 100 values
// no one is surely above the 99 % quantile.
TEST(Statistics, RanksAreBinomial) {
  const Reach reach = one_look(0.95);
  const auto ranks = [&](int count, double q) {
    LatencyHistogram classes;
    std::vector<double> at;
    for (int i = 0; i < count; ++i) {
      at.push_back(std::exp2(i / 8.0 + 0.01));
      classes.add(at.back());
    }
    const Interval i = interval_of(classes, q, reach);
    const auto rank = [&](double end) {
      return std::ranges::count_if(at, [&](double v) { return v <= end; });
    };
    return std::pair(rank(i.low) + 1, std::isinf(i.high) ? -1 : rank(i.high));
  };
  EXPECT_EQ(ranks(20, 0.5), (std::pair<long, long>(6, 15)));
  EXPECT_EQ(ranks(10, 0.5), (std::pair<long, long>(2, 9)));
  EXPECT_EQ(ranks(5, 0.5), (std::pair<long, long>(1, -1)));
  EXPECT_EQ(ranks(100, 0.99).second, -1);
}

// Both ways to the ranks, exact and normal, at the count where they change.
TEST(Statistics, ManyRanksAreNormal) {
  const auto interval = [](uint64_t count) {
    LatencyHistogram classes;
    for (size_t i = 0; i < 200; ++i) classes.counts[i] = count / 200;
    return interval_of(classes, 0.5, one_look(0.95));
  };
  const Interval exact = interval(10'000'000), normal = interval(10'000'200);
  EXPECT_EQ(exact.low, normal.low);
  EXPECT_EQ(exact.high, normal.high);
}

// How often intervals of quantiles have the true one: at least 95 %, for they
// go out to the ends of classes.
TEST(Statistics, IntervalsOfQuantilesCover) {
  const Random random(41, "quantiles");
  uint64_t at = 0;
  int one = 0, two = 0, bounded = 0;
  constexpr int kRounds = 1000;
  const double p99 = std::exp(normal_quantile(0.99));
  for (int i = 0; i < kRounds; ++i) {
    LatencyHistogram a, b;
    for (int n = 0; n < 600; ++n) a.add(std::exp(random.normal(at++)));
    for (int n = 0; n < 900; ++n) b.add(2 * std::exp(random.normal(at++)));
    const Interval single = interval_of(a, 0.99, one_look(0.95));
    one += single.low < p99 && p99 <= single.high;
    bounded += std::isfinite(single.high);
    const Interval both =
        interval_of_difference(a, b, 0.99, 1.5, one_look(0.95));
    two += both.low < p99 - 3 * p99 && p99 - 3 * p99 <= both.high;
  }
  EXPECT_GE(one, 0.94 * kRounds) << "seed 41";
  EXPECT_GE(two, 0.94 * kRounds) << "seed 41";
  EXPECT_EQ(bounded, kRounds);
}

// The share of keys, and that two experiments split independently: chi-squared
// of a 2x2 table below 10.83 (1 in 1000).
TEST(Split, IsUniformAndIndependent) {
  for (const double share : {0.05, 0.5, 0.9}) {
    const Experiment a{.name = "kitchen", .share = share, .salt = "1"};
    const Experiment salted{.name = "kitchen", .share = share, .salt = "2"};
    const Experiment named{.name = "bath", .share = share, .salt = "1"};
    for (const Experiment& b : {salted, named}) {
      double cells[2][2] = {};
      constexpr int kKeys = 20000;
      for (int i = 0; i < kKeys; ++i) {
        const std::string key = "user" + std::to_string(i);
        cells[static_cast<int>(a.arm_of(key))]
             [static_cast<int>(b.arm_of(key))] += 1;
      }
      const double t = cells[1][0] + cells[1][1];
      EXPECT_NEAR(t / kKeys, share, 4 * std::sqrt(share * (1 - share) / kKeys));
      double chi = 0;
      for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 2; ++j) {
          const double wanted =
              (cells[i][0] + cells[i][1]) * (cells[0][j] + cells[1][j]) / kKeys;
          chi += (cells[i][j] - wanted) * (cells[i][j] - wanted) / wanted;
        }
      EXPECT_LT(chi, 10.83) << share << " " << b.name;
    }
  }
}

// A key that has the treatment keeps it when the share grows.
TEST(Split, GrowsByKeysThatComeIn) {
  for (int i = 0; i < 2000; ++i) {
    const std::string key = std::to_string(i);
    Experiment e{.name = "me", .share = 0.2, .salt = "s"};
    const Arm before = e.arm_of(key);
    e.share = 0.3;
    EXPECT_TRUE(before == Arm::kControl || e.arm_of(key) == Arm::kTreatment);
  }
}

// What tests/python/test_ab.py computes with hashlib; never to change.
TEST(Split, IsWhatItWasEver) {
  const Experiment e{.name = "kitchen", .share = 0.5, .salt = "7"};
  std::string arms;
  for (int i = 0; i < 32; ++i)
    arms += e.arm_of("user" + std::to_string(i)) == Arm::kTreatment ? 't' : 'c';
  EXPECT_EQ(arms, "tttttccctccttttcctcccttccttcccct");
}

}  // namespace
}  // namespace ft::store
