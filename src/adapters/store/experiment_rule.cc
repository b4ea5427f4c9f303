#include "adapters/store/experiment_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

namespace ft::store {
namespace {

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_word(char c) { return is_lower(c) || is_digit(c) || c == '_'; }

constexpr const char* word_of(Compare compare) {
  switch (compare) {
    case Compare::kAtLeast: return ">=";
    case Compare::kAbove: return ">";
    case Compare::kAtMost: return "<=";
    case Compare::kBelow: return "<";
  }
  return "";
}

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  Result<Rule> rule() {
    if (text_.size() > kLongestRule)
      return usage_error(fmt::format("a rule has {} characters, above {}",
                                     text_.size(), kLongestRule));
    Rule rule;
    do {
      if (rule.clauses.size() == kMostClauses)
        return wrong(fmt::format("more than {} clauses", kMostClauses));
      FT_TRY(Clause next, clause());
      rule.clauses.push_back(std::move(next));
    } while (take_word("and"));
    skip();
    if (at_ < text_.size())
      return wrong(
          fmt::format("expected 'and' or the end, found '{}'", rest()));
    return rule;
  }

 private:
  Status wrong(const std::string& what) {
    skip();
    return usage_error(
        fmt::format("rule '{}', column {}: {}", text_, at_ + 1, what));
  }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t'))
      ++at_;
  }
  // The next word or character, for a sentence.
  std::string rest() {
    skip();
    if (at_ == text_.size()) return "the end";
    size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    return text_.substr(at_, std::max<size_t>(1, end - at_));
  }
  bool take(std::string_view token) {
    skip();
    if (!std::string_view(text_).substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  bool take_word(std::string_view word) {
    skip();
    const size_t end = at_ + word.size();
    if (end < text_.size() && is_word(text_[end])) return false;
    return take(word);
  }

  Result<Clause> clause() {
    Clause clause;
    skip();
    const size_t start = at_;
    while (at_ < text_.size() && is_word(text_[at_])) ++at_;
    clause.metric = text_.substr(start, at_ - start);
    const bool reserved = clause.metric == "and" || clause.metric == "control";
    if (reserved || !is_metric(clause.metric)) {
      at_ = start;
      return wrong(fmt::format(
          "expected a metric (accuracy, latency_ms, latency_p99_ms, or one of "
          "your own), found '{}'",
          rest()));
    }
    FT_TRY(clause.compare, compare());
    FT_TRY_STATUS(bound(clause));
    return clause;
  }

  Result<Compare> compare() {
    for (const Compare c : {Compare::kAtLeast, Compare::kAtMost,
                            Compare::kAbove, Compare::kBelow})
      if (take(word_of(c))) return c;
    return wrong(
        fmt::format("expected '>=', '>', '<=' or '<', found '{}'", rest()));
  }

  Status bound(Clause& clause) {
    if (!take_word("control")) {
      skip();
      const bool negative = take("-");
      FT_TRY(const double value, number("a number or 'control'"));
      clause.offset = negative ? -value : value;
      return {};
    }
    clause.factor = 1;
    if (take("*")) {
      const size_t start = at_;
      FT_TRY(clause.factor, number("a number"));
      if (clause.factor <= 0) {
        at_ = start;
        return wrong("control is multiplied with a number above 0");
      }
    }
    for (const char* sign : {"+", "-"})
      if (take(sign)) {
        FT_TRY(const double value, number("a number"));
        clause.offset = *sign == '-' ? -value : value;
        break;
      }
    return {};
  }

  // Without a sign.
  Result<double> number(const char* expected) {
    skip();
    const char *begin = text_.data() + at_, *end = text_.data() + text_.size();
    double value = 0;
    const bool starts =
        at_ < text_.size() && (is_digit(*begin) || *begin == '.');
    if (!starts)
      return wrong(fmt::format("expected {}, found '{}'", expected, rest()));
    const auto [stop, error] = std::from_chars(begin, end, value);
    if (error != std::errc() || !std::isfinite(value) ||
        (stop != end && is_word(*stop)))
      return wrong(fmt::format("'{}' is not a number", rest()));
    at_ += static_cast<size_t>(stop - begin);
    return value;
  }

  const std::string& text_;
  size_t at_ = 0;
};

}  // namespace

bool is_metric(const std::string& name) {
  return !name.empty() && name.size() <= 64 && is_lower(name[0]) &&
         std::ranges::all_of(name, is_word);
}

Result<Rule> parse_rule(const std::string& text) { return Parser(text).rule(); }

std::string text_of(const Rule& rule) {
  std::string text;
  for (const Clause& c : rule.clauses) {
    if (!text.empty()) text += " and ";
    text += fmt::format("{} {} ", c.metric, word_of(c.compare));
    if (c.factor == 0) {
      text += fmt::format("{}", c.offset);
      continue;
    }
    text += "control";
    if (c.factor != 1) text += fmt::format(" * {}", c.factor);
    if (c.offset != 0)
      text +=
          fmt::format(" {} {}", c.offset < 0 ? '-' : '+', std::abs(c.offset));
  }
  return text;
}

}  // namespace ft::store
