#include "train/recompute_limit.h"

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "passes/recompute.h"

namespace ft {
namespace {

using Dropped = std::set<ValueId>;

// What to compute again, and whether gradients lie over those they come from.
struct Choice {
  Dropped dropped = {};
  bool overwrites = false;
  auto operator<=>(const Choice&) const = default;
};

constexpr size_t kFewCandidates = 8;  // all their subsets are tried
// Steps that are compiled at most: so many calls in all, within these numbers.
constexpr size_t kCallsInAll = 20000, kLeastTries = 30, kMostTries = 160;

struct Candidate {
  ValueId value;
  double bytes, macs;  // macs: of the node that makes it
};

class LimitSearch {
 public:
  LimitSearch(double limit, const CompileWith& compile)
      : limit_(limit), compile_(compile) {}

  Result<CompiledStep> run() {
    FT_TRY_STATUS(start());
    if (candidates_.size() <= kFewCandidates) {
      FT_TRY_STATUS(try_all());
    } else {
      FT_TRY_STATUS(try_every_kth());
      FT_TRY_STATUS(try_prefixes());
      FT_TRY_STATUS(improve());
    }
    tries_ = SIZE_MAX;
    FT_TRY_STATUS(attempt({choice_.dropped, true}).status());
    return std::move(*best_);
  }

 private:
  // Everything kept, which the limit is counted from, and the candidates.
  Status start() {
    FT_TRY(CompiledStep step,
           compile_(
               [&](const Graph& g, NodeId n) {
                 marked_ = marked_values(g, n);
                 for (const ValueId v : large_values(g, n)) {
                   const Node& node = g.node(g.value(v).producer);
                   const int64_t macs =
                       node.op->macs ? node.op->macs(view_of(g, node)) : 0;
                   candidates_.push_back(
                       {v, static_cast<double>(g.value(v).type.num_bytes()),
                        static_cast<double>(macs)});
                 }
                 return Dropped();
               },
               false));
    most_macs_ = limit_ * static_cast<double>(step.program.macs);
    tries_ = std::clamp(kCallsInAll / (step.program.calls.size() + 1),
                        kLeastTries, kMostTries);
    tried_[{}] = true;
    best_ = std::move(step);
    return attempt({marked_, false}).status();
  }

  // Whether it stays within the limit; the best one is kept.
  Result<bool> attempt(const Choice& choice) {
    const auto [known, is_new] = tried_.try_emplace(choice, false);
    if (!is_new || tried_.size() > tries_) return known->second;
    FT_TRY(CompiledStep step,
           compile_([&](const Graph&, NodeId) { return choice.dropped; },
                    choice.overwrites));
    known->second = static_cast<double>(step.program.macs) <= most_macs_;
    if (known->second && is_better(step.program, best_->program)) {
      best_ = std::move(step);
      choice_ = choice;
    }
    return known->second;
  }

  static bool is_better(const Program& a, const Program& b) {
    return a.ram_bytes() != b.ram_bytes() ? a.ram_bytes() < b.ram_bytes()
                                          : a.macs < b.macs;
  }

  Status try_all() {
    tries_ = SIZE_MAX;
    for (uint32_t subset = 1; subset < 1u << candidates_.size(); ++subset) {
      Dropped dropped;
      for (size_t i = 0; i < candidates_.size(); ++i)
        if (subset >> i & 1) dropped.insert(candidates_[i].value);
      FT_TRY_STATUS(attempt({dropped, false}).status());
    }
    return ok_status();
  }

  Status try_every_kth() {
    for (size_t k = 2; k <= 8; ++k) {
      Dropped dropped;
      for (size_t i = 0; i < candidates_.size(); ++i)
        if (i % k != 0) dropped.insert(candidates_[i].value);
      FT_TRY_STATUS(attempt({dropped, false}).status());
    }
    return ok_status();
  }

  // The longest prefix within the limit, by halving.
  Status try_prefixes() {
    for (const std::vector<ValueId>& order : orders()) {
      size_t within = 0, beyond = order.size() + 1;
      while (beyond - within > 1) {
        const size_t middle = within + (beyond - within) / 2;
        const auto end = order.begin() + static_cast<ptrdiff_t>(middle);
        FT_TRY(const bool ok, attempt({{order.begin(), end}, false}));
        (ok ? within : beyond) = middle;
      }
    }
    return ok_status();
  }

  std::vector<std::vector<ValueId>> orders() const {
    std::vector<std::vector<ValueId>> all;
    const auto add = [&](auto key) {
      std::vector<Candidate> sorted = candidates_;
      std::ranges::stable_sort(sorted, std::ranges::greater(), key);
      all.emplace_back();
      for (const Candidate& c : sorted) all.back().push_back(c.value);
    };
    add([](const Candidate& c) { return c.bytes; });
    add([](const Candidate& c) { return c.bytes / (c.macs + 1); });
    add([](const Candidate& c) { return static_cast<double>(c.value); });
    add([](const Candidate& c) { return -static_cast<double>(c.value); });
    return all;
  }

  // One change at a time, then one value in the place of another.
  Status improve() {
    const std::vector<ValueId> order = orders()[0];
    for (bool again = true; again && tried_.size() <= tries_;) {
      again = false;
      for (const ValueId v : order) {
        FT_TRY(const bool better, change({v}));
        again = again || better;
      }
      if (again) continue;
      for (const ValueId v : order)
        for (const ValueId w : order) {
          if (v >= w ||
              choice_.dropped.contains(v) == choice_.dropped.contains(w))
            continue;
          FT_TRY(const bool better, change({v, w}));
          again = again || better;
        }
    }
    return ok_status();
  }

  Result<bool> change(const std::vector<ValueId>& values) {
    Choice other = choice_;
    for (const ValueId v : values)
      if (other.dropped.erase(v) == 0) other.dropped.insert(v);
    FT_TRY_STATUS(attempt(other).status());
    return choice_ == other;
  }

  const double limit_;
  const CompileWith& compile_;
  double most_macs_ = 0;
  size_t tries_ = 0;
  std::vector<Candidate> candidates_;  // in the order of the forward pass
  Dropped marked_;
  std::map<Choice, bool> tried_;  // whether within the limit
  std::optional<CompiledStep> best_;
  Choice choice_;  // of the best one
};

}  // namespace

Result<CompiledStep> smallest_within_compute(double limit,
                                             const CompileWith& compile) {
  return LimitSearch(limit, compile).run();
}

}  // namespace ft
