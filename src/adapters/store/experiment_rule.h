// Rules of experiments: their text, and what they say of two tallies.
//
// The grammar and the metrics stand in fieldtune/experiment.h. A rule that is
// none is refused with the column where it goes wrong. Not for what follows
// from a verdict (experiments.cc).
#pragma once

#include <string>
#include <vector>

#include "fieldtune/experiment.h"

namespace ft::store {

enum class Compare { kAtLeast, kAbove, kAtMost, kBelow };

// metric of the treatment, compared with factor * that of control + offset.
struct Clause {
  std::string metric;
  Compare compare = Compare::kAtLeast;
  double factor = 0;  // 0: control is not asked
  double offset = 0;
};

struct Rule {
  std::vector<Clause> clauses;  // all of them; never empty
};

inline constexpr size_t kLongestRule = 512, kMostClauses = 8;

// kUsage: "rule 'TEXT', column N: ...".
Result<Rule> parse_rule(const std::string& text);
// As parse_rule() reads it back.
std::string text_of(const Rule& rule);

// Names of metrics that record() takes: [a-z][a-z0-9_]*, up to 64.
bool is_metric(const std::string& name);

struct Finding {
  enum class Says { kWaits, kHolds, kDoesNot } says = Says::kDoesNot;
  std::string sentence;
};
// `treatment` and `control` are what was counted.
Finding judge(const Rule& rule, const fieldtune::ExperimentRules& rules,
              const fieldtune::Tally& treatment,
              const fieldtune::Tally& control);

// What both rules say together: rolling back goes before promoting.
Result<fieldtune::Verdict> judge(const fieldtune::ExperimentRules& rules,
                                 const fieldtune::Tally& treatment,
                                 const fieldtune::Tally& control);

}  // namespace ft::store
