// Intervals of what an experiment measures.
//
// Shares (accuracy): Wilson's score interval for one (Wilson, "Probable
// Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927);
// for the difference of two, Newcombe's hybrid of both intervals ("Interval
// estimation for the difference between independent proportions", Statistics in
// Medicine 17, 1998, method 10), which Zou and Donner ("Construction of
// confidence limits about effect measures", Statistics in Medicine 27, 2008)
// extend to treatment - factor * control. Means: Welch's unequal variances t
// ("The generalization of Student's problem", Biometrika 34, 1947).
//
// All intervals are two-sided. They take values as independent and looks at
// them as one: a rule that is asked again and again errs more often than
// 1 - confidence. Not for rules (experiment_rule.h).
#pragma once

#include <cstdint>

#include "fieldtune/experiment.h"

namespace ft::store {

struct Interval {
  double low = 0, high = 0;
};

// p in (0, 1).
double normal_quantile(double p);
// p in (0, 1), degrees of freedom above 0.
double student_quantile(double p, double degrees);

// `right` of `count` (above 0).
struct Share {
  int64_t right = 0, count = 0;
  double value() const {
    return static_cast<double>(right) / static_cast<double>(count);
  }
};
Interval interval_of(Share share, double confidence);
// Right answers among values of 0 and 1.
int64_t right_of(const fieldtune::Moments& accuracy);
// Of treatment - factor * control.
Interval interval_of_difference(Share treatment, Share control, double factor,
                                double confidence);

// For at least two values.
Interval interval_of(const fieldtune::Moments& mean, double confidence);
Interval interval_of_difference(const fieldtune::Moments& treatment,
                                const fieldtune::Moments& control,
                                double factor, double confidence);

}  // namespace ft::store
