// Intervals of what an experiment measures.
//
// Shares (accuracy): Wilson's score interval for one (Wilson, "Probable
// Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927);
// for the difference of two, Newcombe's hybrid of both intervals ("Interval
// estimation for the difference between independent proportions", Statistics in
// Medicine 17, 1998, method 10), which Zou and Donner ("Construction of
// confidence limits about effect measures", Statistics in Medicine 27, 2008)
// extend to treatment - factor * control. Means: Welch's unequal variances t
// ("The generalization of Student's problem", Biometrika 34, 1947). Quantiles:
// order statistics whose ranks are binomial, put together as shares are.
//
// All intervals are two-sided and take values as independent. How far they
// reach depends on how often one looks: one_look() is right for a single look
// that was fixed beforehand; at_every_look() for as many as one likes, at any
// count (docs/decisions/035 has the argument). Not for rules
// (experiment_rule.h).
#pragma once

#include <cstdint>

#include "fieldtune/experiment.h"

namespace ft::store {

struct Interval {
  double low = 0, high = 0;
};

// How far an interval reaches to each side, as it would for a normal value.
struct Reach {
  double z = 0;     // in standard errors
  double tail = 0;  // the probability beyond; 0 above 38 standard errors
};
// Confidence above 0, below 1.
Reach one_look(double confidence);
// Robbins' normal mixture ("Statistical methods related to the law of the
// iterated logarithm", Annals of Mathematical Statistics 41, 1970) with the
// variance as it was seen (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
// "Time-uniform central limit theory and asymptotic confidence sequences",
// arXiv 2103.06476): the intervals at all counts are right together with this
// confidence. They are narrowest, for their count, at `target` values.
Reach at_every_look(double confidence, double count, double target);
// The size of two equal arms that would tell as much as these about treatment -
// factor * control, where both spread equally; that of the treatment for factor
// 0.
double count_of(int64_t treatment, int64_t control, double factor);

// As the rules say for so many values; not for RuleInterval::kNone.
Reach reach_of(const fieldtune::ExperimentRules& rules, double count);

// p in (0, 1).
double normal_quantile(double p);
// What Student's t with that many degrees of freedom (above 0) exceeds with
// probability `tail`, in (0, 0.5].
double student_upper_point(double tail, double degrees);

// `right` of `count` (above 0).
struct Share {
  int64_t right = 0, count = 0;
  double value() const {
    return static_cast<double>(right) / static_cast<double>(count);
  }
};
Interval interval_of(Share share, const Reach& reach);
// Right answers among values of 0 and 1.
int64_t right_of(const fieldtune::Moments& accuracy);
// Of treatment - factor * control.
Interval interval_of_difference(Share treatment, Share control, double factor,
                                const Reach& reach);

// For at least two values.
Interval interval_of(const fieldtune::Moments& mean, const Reach& reach);
Interval interval_of_difference(const fieldtune::Moments& treatment,
                                const fieldtune::Moments& control,
                                double factor, const Reach& reach);

// Of the q-quantile (q in (0, 1)) of at least one value, to the ends of its
// classes; `high` is infinite where too few values lie above.
Interval interval_of(const fieldtune::LatencyHistogram& classes, double q,
                     const Reach& reach);
Interval interval_of_difference(const fieldtune::LatencyHistogram& treatment,
                                const fieldtune::LatencyHistogram& control,
                                double q, double factor, const Reach& reach);

}  // namespace ft::store
