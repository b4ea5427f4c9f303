// Whether rules that are asked after every value keep their word.
//
// The oracle is simulation: two equal arms, a look after each value from the
// least count on, and a decision whenever an interval of the difference leaves
// 0 out. It is wrong each time; the interval of every look may make it in at
// most 5 % of experiments, however long they run, while that of one look makes
// it ever more often. Both figures are printed, as is what it costs: how many
// values it takes to see a difference that is there. docs/adapter-life.md and
// docs/decisions/035 quote them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "adapters/store/experiment_statistics.h"
#include "base/random.h"

namespace ft::store {
namespace {

using fieldtune::LatencyHistogram;
using fieldtune::Moments;

constexpr uint64_t kSeed = 2103;

bool leaves_out_zero(const Interval& i) { return i.low > 0 || i.high < 0; }

// As rules have it where nothing else is said.
Reach every_look(double count, int64_t target) {
  return reach_of({.target = target}, count);
}

// Two arms; `ratio` values of control for each of the treatment.
struct Design {
  const char* name;
  int trials;
  int64_t ratio, least, last, step, target;
};

// Of experiments without a difference, in percent: those that were decided.
struct Decided {
  double one_look = 0, every_look = 0;
};

// `Arms` draws values (add(control or treatment)), and tells the interval of
// the difference for a reach.
template <class Arms>
Decided decided_of(const Design& d, Arms (*make)(const Random&, uint64_t)) {
  const Random random(kSeed, d.name);
  const Reach once = one_look(0.95);
  Decided wrong;
  for (int trial = 0; trial < d.trials; ++trial) {
    Arms arms = make(random, static_cast<uint64_t>(trial) << 32);
    bool one = false, every = false;
    for (int64_t n = 1; n <= d.last && !(one && every); ++n) {
      arms.add(1);
      for (int64_t i = 0; i < d.ratio; ++i) arms.add(0);
      if (n < d.least || n % d.step != 0) continue;
      const double count = count_of(n, n * d.ratio, 1);
      one = one || arms.leaves_out_zero(once);
      every = every || arms.leaves_out_zero(every_look(count, d.target));
    }
    wrong.one_look += one;
    wrong.every_look += every;
  }
  wrong.one_look *= 100.0 / d.trials;
  wrong.every_look *= 100.0 / d.trials;
  std::printf(
      "%s, %d experiments, looks at %ld to %ld values, seed %lu: wrongly "
      "decided %.1f %% by one-look, %.1f %% by every-look\n",
      d.name, d.trials, d.least, d.last, kSeed, wrong.one_look,
      wrong.every_look);
  return wrong;
}

// At most 5 %, and three standard deviations of how the trials may fall.
void expect_its_word(const Decided& wrong, int trials) {
  EXPECT_LE(wrong.every_look, 5 + 300 * std::sqrt(0.05 * 0.95 / trials));
  EXPECT_GE(wrong.one_look, 15);
}

struct Source {
  const Random* random = nullptr;
  uint64_t at = 0;
  double uniform() { return random->uniform(at++); }
  double normal() { return random->normal(at++); }
};

template <int kPercent>
struct ShareArms {
  Source source = {};
  Share arms[2] = {};

  static ShareArms make(const Random& random, uint64_t at) {
    ShareArms made;
    made.source = {&random, at};
    return made;
  }
  void add(int arm) {
    arms[arm].right += source.uniform() < kPercent / 100.0;
    ++arms[arm].count;
  }
  bool leaves_out_zero(const Reach& reach) const {
    return store::leaves_out_zero(
        interval_of_difference(arms[1], arms[0], 1, reach));
  }
};

// Log-normal, as times are: skewed, with some far out.
struct MeanArms {
  Source source = {};
  Moments arms[2] = {};

  static MeanArms make(const Random& random, uint64_t at) {
    MeanArms made;
    made.source = {&random, at};
    return made;
  }
  void add(int arm) { arms[arm].add(std::exp(source.normal() / 2)); }
  bool leaves_out_zero(const Reach& reach) const {
    // Student's interval is never the narrower one, and slow to compute.
    const double error =
        std::sqrt(arms[0].variance() / static_cast<double>(arms[0].count) +
                  arms[1].variance() / static_cast<double>(arms[1].count));
    if (std::abs(arms[1].mean - arms[0].mean) < reach.z * error) return false;
    return store::leaves_out_zero(
        interval_of_difference(arms[1], arms[0], 1, reach));
  }
};

struct P99Arms {
  Source source = {};
  LatencyHistogram arms[2] = {};

  static P99Arms make(const Random& random, uint64_t at) {
    P99Arms made;
    made.source = {&random, at};
    return made;
  }
  void add(int arm) { arms[arm].add(std::exp(source.normal())); }
  bool leaves_out_zero(const Reach& reach) const {
    return store::leaves_out_zero(
        interval_of_difference(arms[1], arms[0], 0.99, 1, reach));
  }
};

TEST(Looks, SharesOf90Percent) {
  const Design d{.name = "accuracy 90 %, equal arms",
                 .trials = 1000,
                 .ratio = 1,
                 .least = 100,
                 .last = 3000,
                 .step = 1,
                 .target = 1000};
  expect_its_word(decided_of(d, ShareArms<90>::make), d.trials);
}

// Few wrong answers, few of the treatment: where a normal value is least like
// what is counted.
TEST(Looks, SharesOf98PercentOneInFive) {
  const Design d{.name = "accuracy 98 %, a fifth for the treatment",
                 .trials = 1000,
                 .ratio = 4,
                 .least = 100,
                 .last = 2000,
                 .step = 1,
                 .target = 1000};
  expect_its_word(decided_of(d, ShareArms<98>::make), d.trials);
}

TEST(Looks, TargetThatIsFarTooLow) {
  const Design d{.name = "accuracy 90 %, target of 50",
                 .trials = 1000,
                 .ratio = 1,
                 .least = 50,
                 .last = 3000,
                 .step = 1,
                 .target = 50};
  expect_its_word(decided_of(d, ShareArms<90>::make), d.trials);
}

TEST(Looks, MeansOfSkewedValues) {
  const Design d{.name = "mean of log-normal values",
                 .trials = 1000,
                 .ratio = 1,
                 .least = 50,
                 .last = 3000,
                 .step = 1,
                 .target = 1000};
  expect_its_word(decided_of(d, MeanArms::make), d.trials);
}

// Two intervals of ranks are slow to compute: a look every 20 values. Ends of
// classes make them wider than they need be, so that one look errs less, too.
TEST(Looks, P99) {
  const Design d{.name = "p99 of log-normal values",
                 .trials = 500,
                 .ratio = 1,
                 .least = 400,
                 .last = 4000,
                 .step = 20,
                 .target = 1000};
  const Decided wrong = decided_of(d, P99Arms::make);
  EXPECT_LE(wrong.every_look, 5);
  EXPECT_GE(wrong.one_look, wrong.every_look);
}

// Values an arm until 80 % of experiments with a true difference are decided:
// 93 % against 90 %.
struct Price {
  double one_look = 0;    // one look at that many
  double every_look = 0;  // all looks up to that many
  double mean = 0;        // of every-look, when it was decided
};

Price price_of(int64_t target) {
  constexpr int kTrials = 1000, kLast = 12000, kLastOnce = 3000;
  const Reach once = one_look(0.95);
  const Random random(kSeed, "price");
  std::vector<int> seen(kLastOnce + 1);
  std::vector<double> stops;
  Price price;
  for (int trial = 0; trial < kTrials; ++trial) {
    Source source{&random, static_cast<uint64_t>(trial) << 32};
    Share t, c;
    double stop = kLast;
    for (int64_t n = 1; n <= kLast && (n <= kLastOnce || stop == kLast); ++n) {
      t.right += source.uniform() < 0.93;
      c.right += source.uniform() < 0.90;
      t.count = c.count = n;
      if (n < 100) continue;
      const auto count = static_cast<double>(n);
      const auto above = [&](const Reach& reach) {
        return interval_of_difference(t, c, 1, reach).low > 0;
      };
      if (n <= kLastOnce) seen[static_cast<size_t>(n)] += above(once);
      if (stop == kLast && above(every_look(count, target))) stop = count;
    }
    stops.push_back(stop);
    price.mean += stop / kTrials;
  }
  std::ranges::sort(stops);
  price.every_look = stops[kTrials * 8 / 10 - 1];
  size_t last_below = 0;
  for (size_t n = 100; n <= kLastOnce; ++n)
    if (seen[n] < kTrials * 8 / 10) last_below = n;
  price.one_look = static_cast<double>(last_below + 1);
  std::printf(
      "93 %% against 90 %%, seed %lu, target %ld: 80 %% of experiments are "
      "decided by %.0f values an arm by one-look (one look), by %.0f by "
      "every-look (%.2f times), after %.0f on average (%.2f times)\n",
      kSeed, target, price.one_look, price.every_look,
      price.every_look / price.one_look, price.mean,
      price.mean / price.one_look);
  return price;
}

TEST(Looks, WhatTheyCost) {
  // (1.960 + 0.842)^2 (0.93 * 0.07 + 0.9 * 0.1) / 0.03^2 = 1353.
  const Price price = price_of(1000);
  EXPECT_NEAR(price.one_look, 1353, 100);
  EXPECT_GT(price.every_look, price.one_look);
  EXPECT_LT(price.every_look, 2.2 * price.one_look);
  EXPECT_LT(price.mean, 1.4 * price.one_look);
  // A target that is ten times off costs less on the low side.
  const Price low = price_of(100), high = price_of(10000);
  EXPECT_LT(low.every_look, high.every_look);
}

// The paper's formula, and that its rho is the best one, by trying others.
TEST(Looks, ReachIsThatOfThePaper) {
  const auto half_width = [](double t, double rho, double alpha) {
    return std::sqrt(2 * (t * rho * rho + 1) / (t * t * rho * rho) *
                     std::log(std::sqrt(t * rho * rho + 1) / alpha));
  };
  for (const double confidence : {0.5, 0.9, 0.95, 0.999})
    for (const double target : {20.0, 1000.0, 1e6}) {
      const double alpha = 1 - confidence;
      double best = 0, least = 1e300;
      for (double rho = 1e-5; rho < 10; rho *= 1.0005)
        if (const double half = half_width(target, rho, alpha); half < least) {
          least = half;
          best = rho;
        }
      for (const double t : {0.1 * target, target, 30 * target})
        EXPECT_NEAR(at_every_look(confidence, t, target).z,
                    half_width(t, best, alpha) * std::sqrt(t), 1e-3)
            << confidence << " " << target;
    }
  EXPECT_EQ(at_every_look(0.95, 1, 1e9).tail, 0);
  EXPECT_TRUE(std::isfinite(at_every_look(1e-15, 100, 1000).z));
}

// Arms of other sizes tell as much as equal ones of that size: variances add.
TEST(Looks, SizesOfUnequalArms) {
  EXPECT_EQ(count_of(100, 100, 1), 100);
  EXPECT_NEAR(count_of(100, 400, 1), 160, 1e-9);
  EXPECT_EQ(count_of(100, 7, 0), 100);
  EXPECT_NEAR(1 / count_of(30, 50, 2), (1.0 / 30 + 4.0 / 50) / 5, 1e-12);
}

// A mean of few values beside a distant target has no end at all.
TEST(Looks, TooEarlyForAnyMean) {
  Moments few;
  for (const double v : {1.0, 2.0, 4.0}) few.add(v);
  const Interval i = interval_of(few, at_every_look(0.95, 3, 1e9));
  EXPECT_TRUE(std::isinf(i.low) && std::isinf(i.high));
}

}  // namespace
}  // namespace ft::store
