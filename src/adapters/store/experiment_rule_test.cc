#include "adapters/store/experiment_rule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace ft::store {
namespace {

using fieldtune::ExperimentRules;
using fieldtune::Moments;
using fieldtune::Outcome;
using fieldtune::RuleInterval;
using fieldtune::Tally;
using fieldtune::Verdict;

TEST(Rule, ReadsClauses) {
  const Rule rule = parse_rule(
                        " accuracy>=control+0.5 and latency_ms <= control * "
                        "1.1 - 2 and clicks > -3e1")
                        .value();
  ASSERT_EQ(rule.clauses.size(), 3u);
  EXPECT_EQ(rule.clauses[0].metric, "accuracy");
  EXPECT_EQ(rule.clauses[0].compare, Compare::kAtLeast);
  EXPECT_EQ(rule.clauses[0].factor, 1);
  EXPECT_EQ(rule.clauses[0].offset, 0.5);
  EXPECT_EQ(rule.clauses[1].factor, 1.1);
  EXPECT_EQ(rule.clauses[1].offset, -2);
  EXPECT_EQ(rule.clauses[2].factor, 0);
  EXPECT_EQ(rule.clauses[2].offset, -30);
}

// Each with the column where it goes wrong and what was expected there.
TEST(Rule, SaysWhereItIsNone) {
  const struct {
    const char *text, *says;
  } cases[] = {
      {"", "column 1: expected a metric"},
      {"   ", "column 4: expected a metric"},
      {"accuracy",
       "column 9: expected '>=', '>', '<=' or '<', found 'the end'"},
      {"accuracy = 3", "column 10: expected '>='"},
      {"accuracy == 3", "column 10: expected '>='"},
      {"accuracy => 3", "column 10: expected '>='"},
      {"accuracy >= ", "column 13: expected a number or 'control'"},
      {"accuracy >= treatment",
       "column 13: expected a number or 'control', "
       "found 'treatment'"},
      {"accuracy >= control +", "column 22: expected a number"},
      {"accuracy >= control + 0.5%", "column 26: expected 'and' or the end"},
      {"accuracy >= control * -1", "column 23: expected a number"},
      {"accuracy >= control * 0", "column 23: control is multiplied"},
      {"accuracy >= control or accuracy > 3", "column 21: expected 'and'"},
      {"accuracy >= control and", "column 24: expected a metric"},
      {"Accuracy >= 3", "column 1: expected a metric"},
      {"control >= 3", "column 1: expected a metric"},
      {"9a >= 3", "column 1: expected a metric"},
      {"accuracy >= 1e999", "column 13: '1e999' is not a number"},
      {"accuracy >= nan", "column 13: expected a number"},
      {"accuracy >= 3x", "column 13: '3x' is not a number"},
      {"accuracy >= 3 4", "column 15: expected 'and' or the end, found '4'"},
      {"a>1 and a>1 and a>1 and a>1 and a>1 and a>1 and a>1 and a>1 and a>1",
       "more than 8 clauses"},
  };
  for (const auto& c : cases) {
    const auto rule = parse_rule(c.text);
    ASSERT_FALSE(rule.ok()) << c.text;
    EXPECT_EQ(rule.status().code(), Code::kUsage);
    EXPECT_NE(rule.status().message().find(c.says), std::string::npos)
        << rule.status().message();
  }
  EXPECT_FALSE(parse_rule(std::string(kLongestRule + 1, ' ')).ok());
}

Rule random_rule(const Random& random, uint64_t& at) {
  const auto pick = [&](uint64_t n) { return random.bits(at++) % n; };
  const char* metrics[] = {"accuracy", "latency_ms", "latency_p99_ms", "x_1"};
  Rule rule;
  const uint64_t clauses = 1 + pick(kMostClauses);
  for (uint64_t i = 0; i < clauses; ++i) {
    Clause clause{.metric = metrics[pick(4)],
                  .compare = static_cast<Compare>(pick(4))};
    const uint64_t kind = pick(3);
    if (kind > 0)
      clause.factor = kind == 1 ? 1 : random.uniform(at++) * 4 + .01;
    if (pick(4) > 0)
      clause.offset = std::ldexp(random.uniform(at++) - 0.5,
                                 static_cast<int>(pick(40)) - 20);
    rule.clauses.push_back(clause);
  }
  return rule;
}

TEST(Rule, ReadsBackWhatItPrints) {
  const Random random(35, "rules");
  uint64_t at = 0;
  for (int i = 0; i < 2000; ++i) {
    const Rule rule = random_rule(random, at);
    std::string text = text_of(rule);
    if (text.size() > kLongestRule) continue;
    const auto again = parse_rule(text);
    ASSERT_TRUE(again.ok()) << "seed 35: " << again.status().message();
    ASSERT_EQ(again->clauses.size(), rule.clauses.size());
    for (size_t c = 0; c < rule.clauses.size(); ++c) {
      EXPECT_EQ(again->clauses[c].metric, rule.clauses[c].metric) << text;
      EXPECT_EQ(again->clauses[c].compare, rule.clauses[c].compare) << text;
      EXPECT_EQ(again->clauses[c].factor, rule.clauses[c].factor) << text;
      EXPECT_EQ(again->clauses[c].offset, rule.clauses[c].offset) << text;
    }
  }
}

// Text with any byte changed is a rule that reads back, or is refused with a
// column inside it.
TEST(Rule, EveryTextIsARuleOrASentence) {
  const Random random(36, "texts");
  const std::string letters = "ac 0.5+-*<>=e_%\t\n|'\"";
  uint64_t at = 0;
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = "accuracy >= control * 1.5 + 0.25 and x < 4";
    const uint64_t changes = 1 + random.bits(at++) % 4;
    for (uint64_t c = 0; c < changes; ++c) {
      const size_t place = random.bits(at++) % text.size();
      const uint32_t byte = random.bits(at++);
      text[place] =
          i % 2 == 0 ? letters[byte % letters.size()] : static_cast<char>(byte);
    }
    const auto rule = parse_rule(text);
    if (rule.ok()) {
      EXPECT_TRUE(parse_rule(text_of(*rule)).ok()) << "seed 36: " << text;
      continue;
    }
    ++refused;
    EXPECT_NE(rule.status().message().find("column "), std::string::npos);
  }
  EXPECT_GT(refused, 5000);
}

Tally tally_of(int64_t right, int64_t wrong) {
  Tally tally;
  for (int64_t i = 0; i < right + wrong; ++i)
    EXPECT_TRUE(tally.add({.requests = 1, .right = i < right}).ok());
  return tally;
}

// Rules that compare what was measured.
ExperimentRules as_it_is(const std::string& promote_if,
                         const std::string& rollback_if) {
  return {.promote_if = promote_if,
          .rollback_if = rollback_if,
          .interval = RuleInterval::kNone};
}

Verdict::Says says(const ExperimentRules& rules, const Tally& treatment,
                   const Tally& control) {
  return judge(rules, treatment, control).value().says;
}

TEST(Verdict, CountsInPercentagePoints) {
  const ExperimentRules rules{.promote_if = "accuracy >= control + 0.5",
                              .rollback_if = "accuracy < control - 1",
                              .least = 200,
                              .interval = RuleInterval::kNone};
  const Tally control = tally_of(180, 20);  // 90 %
  EXPECT_EQ(says(rules, tally_of(181, 19), control), Verdict::Says::kPromote);
  EXPECT_EQ(says(rules, tally_of(180, 20), control), Verdict::Says::kUndecided);
  EXPECT_EQ(says(rules, tally_of(178, 22), control),  // 89 %: not below
            Verdict::Says::kUndecided);
  EXPECT_EQ(says(rules, tally_of(177, 23), control), Verdict::Says::kRollback);
  EXPECT_EQ(says(rules, tally_of(199, 0), control), Verdict::Says::kWait);
  EXPECT_EQ(says(rules, tally_of(200, 0), tally_of(0, 199)),
            Verdict::Says::kWait);
}

// Sums of decimals that are not exact: 90.1 + 0.5 against 90.6.
TEST(Verdict, RoundingOfTheBoundDecidesNothing) {
  for (int64_t right = 0; right < 990; ++right) {
    const Tally control = tally_of(right, 1000 - right);
    const Tally treatment = tally_of(right + 5, 995 - right);
    EXPECT_EQ(
        says(as_it_is("accuracy >= control + 0.5", ""), treatment, control),
        Verdict::Says::kPromote)
        << right;
    EXPECT_EQ(
        says(as_it_is("accuracy > control + 0.5", ""), treatment, control),
        Verdict::Says::kUndecided)
        << right;
  }
}

TEST(Verdict, RollbackGoesFirstAndAndNeedsAll) {
  Tally control = tally_of(100, 100), treatment = tally_of(150, 50);
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(control.add({.latency_ms = 10}).ok());
    ASSERT_TRUE(treatment.add({.latency_ms = i < 196 ? 10.5 : 100}).ok());
  }
  EXPECT_EQ(says(as_it_is("accuracy > control", "latency_ms > control"),
                 treatment, control),
            Verdict::Says::kRollback);
  EXPECT_EQ(
      says(as_it_is("accuracy > control and latency_ms <= control * 1.3", ""),
           treatment, control),
      Verdict::Says::kPromote);
  EXPECT_EQ(
      says(as_it_is("accuracy > control and latency_ms <= control * 1.1", ""),
           treatment, control),
      Verdict::Says::kUndecided);
  EXPECT_EQ(
      says(as_it_is("", "latency_p99_ms > control * 2"), treatment, control),
      Verdict::Says::kRollback);
  EXPECT_EQ(says(as_it_is("accuracy > control and clicks > 0", ""), treatment,
                 control),
            Verdict::Says::kWait);
  EXPECT_EQ(says({}, treatment, control), Verdict::Says::kUndecided);
}

// A rollback rule that has too few values keeps one from being promoted.
TEST(Verdict, NothingIsPromotedWhileTheRollbackRuleWaits) {
  const auto verdict = judge({.promote_if = "accuracy > control",
                              .rollback_if = "clicks < control"},
                             tally_of(200, 0), tally_of(100, 100))
                           .value();
  EXPECT_EQ(verdict.says, Verdict::Says::kWait);
  EXPECT_NE(verdict.sentence.find("clicks"), std::string::npos);
}

TEST(Verdict, WithConfidenceTheWorseEndMustHold) {
  const ExperimentRules rules{.promote_if = "accuracy >= control + 0.5",
                              .rollback_if = "accuracy < control - 1",
                              .interval = RuleInterval::kOneLook};
  const Tally control = tally_of(180, 20);
  EXPECT_EQ(says(rules, tally_of(184, 16), control), Verdict::Says::kUndecided);
  EXPECT_EQ(says(rules, tally_of(199, 1), control), Verdict::Says::kPromote);
  EXPECT_EQ(says(rules, tally_of(170, 30), control), Verdict::Says::kUndecided);
  EXPECT_EQ(says(rules, tally_of(140, 60), control), Verdict::Says::kRollback);
  // Against a number it is the share's own interval.
  EXPECT_EQ(
      says({.promote_if = "accuracy > 90", .interval = RuleInterval::kOneLook},
           tally_of(185, 15), control),
      Verdict::Says::kUndecided);
  EXPECT_EQ(
      says({.promote_if = "accuracy > 90", .interval = RuleInterval::kOneLook},
           tally_of(194, 6), control),
      Verdict::Says::kPromote);
}

// Without another word it is the interval of every look, which says so and
// takes more.
TEST(Verdict, EveryLookTakesMore) {
  ExperimentRules rules{.promote_if = "accuracy > control"};
  const Tally control = tally_of(180, 20), treatment = tally_of(195, 5);
  const auto every = judge(rules, treatment, control).value();
  EXPECT_EQ(every.says, Verdict::Says::kUndecided);
  EXPECT_NE(every.sentence.find("95 % confidence at every look"),
            std::string::npos)
      << every.sentence;
  rules.interval = RuleInterval::kOneLook;
  const auto one = judge(rules, treatment, control).value();
  EXPECT_EQ(one.says, Verdict::Says::kPromote);
  EXPECT_NE(one.sentence.find("for one look"), std::string::npos);
  rules.interval = RuleInterval::kEveryLook;
  EXPECT_EQ(says(rules, tally_of(200, 0), control), Verdict::Says::kPromote);
  rules.target = 100000;
  EXPECT_EQ(says(rules, tally_of(200, 0), control), Verdict::Says::kUndecided);
}

// Few values have nothing surely above their 99 % quantile: it has no upper
// end, and the sentence says so.
TEST(Verdict, P99HasAnInterval) {
  Tally control, treatment;
  const auto add = [&](int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(control.add({.latency_ms = 10 + i % 100}).ok());
      ASSERT_TRUE(treatment.add({.latency_ms = 1 + i % 100 / 10.0}).ok());
    }
  };
  const ExperimentRules rules{.promote_if = "latency_p99_ms < control"};
  add(300);
  const auto few = judge(rules, treatment, control).value();
  EXPECT_EQ(few.says, Verdict::Says::kUndecided);
  EXPECT_NE(few.sentence.find("to inf with"), std::string::npos)
      << few.sentence;
  add(2700);
  EXPECT_EQ(says(rules, treatment, control), Verdict::Says::kPromote);
  EXPECT_EQ(says({.rollback_if = "latency_p99_ms > 20"}, treatment, control),
            Verdict::Says::kUndecided);
  EXPECT_EQ(says({.rollback_if = "latency_p99_ms > 5"}, treatment, control),
            Verdict::Says::kRollback);
}

}  // namespace
}  // namespace ft::store
