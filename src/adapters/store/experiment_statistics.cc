#include "adapters/store/experiment_statistics.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace ft::store {
namespace {

using fieldtune::ExperimentRules;
using fieldtune::LatencyHistogram;
using fieldtune::Moments;
using fieldtune::RuleInterval;

double log_gamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

// The continued fraction of the incomplete beta function (Abramowitz and
// Stegun, 26.5.8) by Lentz's method; it converges for x < (a + 1) / (a + b +
// 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  const auto away_from_zero = [](double v) {
    return std::abs(v) < kTiny ? kTiny : v;
  };
  double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), h = d;
  const auto turn = [&](double term) {
    d = 1 / away_from_zero(1 + term * d);
    c = away_from_zero(1 + term / c);
    h *= d * c;
    return std::abs(d * c - 1);
  };
  for (int i = 1; i <= 10000; ++i) {
    const double m = i, even = a + 2 * m;
    turn(m * (b - m) * x / ((even - 1) * even));
    if (turn(-(a + m) * (a + b + m) * x / (even * (even + 1))) < 1e-15) break;
  }
  return h;
}

// Regularized: 0 at x = 0, 1 at x = 1.
double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

// P(T > t) for t >= 0.
double student_tail(double t, double degrees) {
  return incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t)) / 2;
}

constexpr double kInfinite = std::numeric_limits<double>::infinity();

double normal_tail(double z) { return std::erfc(z / std::numbers::sqrt2) / 2; }

// Beyond, the binomial is normal to all digits that ranks have.
constexpr uint64_t kMostExactRanks = 10'000'000;

// P(K <= k) and P(K >= k) of a binomial K, n values of probability q; 0 <= k.
double at_most(uint64_t k, uint64_t n, double q) {
  if (k >= n) return 1;
  return incomplete_beta(static_cast<double>(n - k), static_cast<double>(k + 1),
                         1 - q);
}
double at_least(uint64_t k, uint64_t n, double q) {
  if (k == 0) return 1;
  if (k > n) return 0;
  return incomplete_beta(static_cast<double>(k), static_cast<double>(n - k + 1),
                         q);
}

// The first k in [begin, end] for which `holds`, which stays true from there
// on, and does at `end`.
uint64_t first_where(uint64_t begin, uint64_t end, const auto& holds) {
  while (begin < end) {
    const uint64_t k = begin + (end - begin) / 2;
    if (holds(k))
      end = k;
    else
      begin = k + 1;
  }
  return end;
}

// Ranks, from 1, of the values that enclose the q-quantile of n; 0 and n + 1
// where there is none on that side.
struct Ranks {
  uint64_t low = 0, high = 0;
};
Ranks ranks_of(uint64_t n, double q, const Reach& reach) {
  const auto all = static_cast<double>(n);
  if (n > kMostExactRanks) {
    const double half = reach.z * std::sqrt(all * q * (1 - q));
    const double low = std::floor(q * all - half);
    const double high = std::ceil(q * all + half) + 1;
    return {low < 1 ? 0 : static_cast<uint64_t>(low),
            high > all ? n + 1 : static_cast<uint64_t>(high)};
  }
  const uint64_t low = first_where(
      0, n, [&](uint64_t k) { return at_most(k, n, q) > reach.tail; });
  const uint64_t high = first_where(
      low, n + 1, [&](uint64_t k) { return at_least(k, n, q) <= reach.tail; });
  return {low, high};
}

}  // namespace

Reach one_look(double confidence) {
  return {normal_quantile((1 + confidence) / 2), (1 - confidence) / 2};
}

// With x = t rho^2 for t values of variance s^2 the half-width is s / sqrt(t)
// times the root of (x + 1) / x * (log(x + 1) - 2 log(alpha)). At t = target it
// is least where x - log(x + 1) = -2 log(alpha), which says what rho is.
Reach at_every_look(double confidence, double count, double target) {
  const double unlikely = -2 * std::log1p(-confidence);
  double best = unlikely + std::sqrt(2 * unlikely);
  for (int i = 0; i < 200; ++i) {
    const double next = unlikely + std::log1p(best);
    const bool done = best - next <= 1e-15 * best;
    best = next;
    if (done) break;
  }
  const double x = best * count / target;
  const double z = std::sqrt((x + 1) / x * (std::log1p(x) + unlikely));
  return {z, normal_tail(z)};
}

double count_of(int64_t treatment, int64_t control, double factor) {
  const auto t = static_cast<double>(treatment);
  if (factor == 0) return t;
  const double squared = factor * factor;
  return (1 + squared) / (1 / t + squared / static_cast<double>(control));
}

Reach reach_of(const ExperimentRules& rules, double count) {
  if (rules.interval == RuleInterval::kOneLook)
    return one_look(rules.confidence);
  return at_every_look(rules.confidence, count,
                       static_cast<double>(rules.target));
}

// By bisection over P(Z > z): more steps than a formula, no coefficients.
double normal_quantile(double p) {
  if (p < 0.5) return -normal_quantile(1 - p);
  double low = 0, high = 40;
  for (int i = 0; i < 200; ++i) {
    const double z = (low + high) / 2;
    if (z == low || z == high) break;
    (normal_tail(z) > 1 - p ? low : high) = z;
  }
  return (low + high) / 2;
}

double student_upper_point(double tail, double degrees) {
  double low = 0, high = 1;
  while (student_tail(high, degrees) > tail && high < 1e300) high *= 2;
  for (int i = 0; i < 2000; ++i) {  // 1e300 halved
    const double t = (low + high) / 2;
    if (t == low || t == high) break;
    (student_tail(t, degrees) > tail ? low : high) = t;
  }
  return (low + high) / 2;
}

Interval interval_of(Share share, const Reach& reach) {
  const double z = reach.z;
  const auto n = static_cast<double>(share.count);
  const double p = share.value(), middle = p + z * z / (2 * n);
  const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  const double scale = 1 + z * z / n;
  // Exact where rounding would leave a hair beside 0 or 1.
  return {share.right == 0 ? 0 : (middle - half) / scale,
          share.right == share.count ? 1 : (middle + half) / scale};
}

// Zou and Donner's: the distances of both from their own limits, put together
// as those of independent values.
Interval interval_of_difference(double treatment, const Interval& t,
                                double control, const Interval& c,
                                double factor) {
  const double difference = treatment - factor * control;
  return {
      difference - std::hypot(treatment - t.low, factor * (c.high - control)),
      difference + std::hypot(t.high - treatment, factor * (control - c.low))};
}

Interval interval_of_difference(Share treatment, Share control, double factor,
                                const Reach& reach) {
  if (factor == 0) return interval_of(treatment, reach);
  return interval_of_difference(treatment.value(),
                                interval_of(treatment, reach), control.value(),
                                interval_of(control, reach), factor);
}

Interval interval_of(const Moments& mean, const Reach& reach) {
  return interval_of_difference(mean, {}, 0, reach);
}

Interval interval_of_difference(const Moments& treatment,
                                const Moments& control, double factor,
                                const Reach& reach) {
  const auto squared_error = [](const Moments& m) {
    return m.variance() / static_cast<double>(m.count);
  };
  const double t = squared_error(treatment);
  const double c = factor == 0 ? 0 : factor * factor * squared_error(control);
  const double difference = treatment.mean - factor * control.mean;
  if (t + c == 0) return {difference, difference};
  double parts = t * t / static_cast<double>(treatment.count - 1);
  if (factor != 0) parts += c * c / static_cast<double>(control.count - 1);
  const double degrees = (t + c) * (t + c) / parts;
  // Of so many degrees t is normal to seven digits.
  const double point = reach.tail == 0 ? kInfinite
                       : degrees > 1e7
                           ? reach.z
                           : student_upper_point(reach.tail, degrees);
  const double half = point * std::sqrt(t + c);
  return {difference - half, difference + half};
}

Interval interval_of(const LatencyHistogram& classes, double q,
                     const Reach& reach) {
  const Ranks ranks = ranks_of(classes.count(), q, reach);
  return {ranks.low == 0 ? 0 : classes.ends_of(ranks.low).first,
          ranks.high > classes.count() ? kInfinite
                                       : classes.ends_of(ranks.high).second};
}

Interval interval_of_difference(const LatencyHistogram& treatment,
                                const LatencyHistogram& control, double q,
                                double factor, const Reach& reach) {
  const Interval t = interval_of(treatment, q, reach);
  if (factor == 0) return t;
  return interval_of_difference(treatment.quantile(q), t, control.quantile(q),
                                interval_of(control, q, reach), factor);
}

}  // namespace ft::store
