#include "adapters/store/experiment_statistics.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace ft::store {
namespace {

using fieldtune::Moments;

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

double upper_point(double confidence) { return (1 + confidence) / 2; }

}  // namespace

// By bisection over P(Z > z): more steps than a formula, no coefficients.
double normal_quantile(double p) {
  if (p < 0.5) return -normal_quantile(1 - p);
  double low = 0, high = 40;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double z = (low + high) / 2;
    const bool right = std::erfc(z / std::numbers::sqrt2) / 2 > 1 - p;
    (right ? low : high) = z;
  }
  return (low + high) / 2;
}

double student_quantile(double p, double degrees) {
  if (p < 0.5) return -student_quantile(1 - p, degrees);
  if (degrees > 1e7) return normal_quantile(p);  // equal to seven digits
  double low = 0, high = 1;
  while (student_tail(high, degrees) > 1 - p && high < 1e300) high *= 2;
  for (int i = 0; i < 200; ++i) {
    const double t = (low + high) / 2;
    (student_tail(t, degrees) > 1 - p ? low : high) = t;
  }
  return (low + high) / 2;
}

Interval interval_of(Share share, double confidence) {
  const double z = normal_quantile(upper_point(confidence));
  const auto n = static_cast<double>(share.count);
  const double p = share.value(), middle = p + z * z / (2 * n);
  const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  const double scale = 1 + z * z / n;
  // Exact where rounding would leave a hair beside 0 or 1.
  return {share.right == 0 ? 0 : (middle - half) / scale,
          share.right == share.count ? 1 : (middle + half) / scale};
}

Interval interval_of_difference(Share treatment, Share control, double factor,
                                double confidence) {
  const Interval t = interval_of(treatment, confidence);
  const Interval c = interval_of(control, confidence);
  const double difference = treatment.value() - factor * control.value();
  return {difference - std::hypot(treatment.value() - t.low,
                                  factor * (c.high - control.value())),
          difference + std::hypot(t.high - treatment.value(),
                                  factor * (control.value() - c.low))};
}

Interval interval_of(const Moments& mean, double confidence) {
  return interval_of_difference(mean, {}, 0, confidence);
}

Interval interval_of_difference(const Moments& treatment,
                                const Moments& control, double factor,
                                double confidence) {
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
  const double half =
      student_quantile(upper_point(confidence), degrees) * std::sqrt(t + c);
  return {difference - half, difference + half};
}

}  // namespace ft::store
