#include "train/drop_search.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "passes/recompute.h"
#include "train/recompute_limit.h"

namespace ft {
namespace {

std::set<ValueId> drop_nothing(const Graph&, NodeId) { return {}; }

// First gradients lie over those they come from, which costs a second look at
// each of them; then values are dropped, which costs whole layers. Keeps as
// many as the budget has room for, small ones first: the search is over how
// many, then over some of the others. Then large ones first, whose room many
// small ones may have taken; the way with the least work counts.
class DropSearch {
 public:
  DropSearch(size_t ram_bytes, const CompileWith& compile)
      : ram_bytes_(ram_bytes), compile_(compile) {}

  // Of the ways that were tried the smallest, if none fits.
  Result<CompiledStep> run() {
    for (const bool overwrites : {false, true})
      for (const auto choose : {drop_nothing, marked_values}) {
        FT_TRY_STATUS(attempt(choose, overwrites));
        if (fits()) return std::move(*best_);
      }
    FT_TRY_STATUS(attempt(
        [this](const Graph& g, NodeId n) {
          std::set<ValueId> all = large_values(g, n);
          by_size_.assign(all.begin(), all.end());
          std::ranges::stable_sort(by_size_, {}, [&g](ValueId v) {
            return g.value(v).type.num_bytes();
          });
          if (by_size_.empty()) return all;
          const size_t largest = g.value(by_size_.back()).type.num_bytes();
          while (g.value(by_size_[first_large_]).type.num_bytes() * 2 < largest)
            ++first_large_;
          return all;
        },
        true));
    if (!fits()) return std::move(*best_);
    FT_TRY_STATUS(keep_small_ones());
    FT_TRY_STATUS(keep_some_others(0));
    kept_.clear();
    FT_TRY_STATUS(keep_some_others(first_large_));
    FT_TRY_STATUS(keep_some_others(0));
    return std::move(*best_);
  }

 private:
  bool fits() const { return best_->program.ram_bytes() <= ram_bytes_; }

  Status attempt(const ChooseDropped& choose, bool overwrites) {
    FT_TRY(CompiledStep step, compile_(choose, overwrites));
    if (!best_ || step.program.ram_bytes() < best_->program.ram_bytes())
      best_ = std::move(step);
    return ok_status();
  }

  // Whether the step fits with `kept`, which then are kept.
  Result<bool> keep(std::set<ValueId> kept) {
    FT_TRY(CompiledStep step,
           compile_(
               [&](const Graph& g, NodeId n) {
                 std::set<ValueId> dropped = large_values(g, n);
                 std::erase_if(dropped,
                               [&](ValueId v) { return kept.contains(v); });
                 return dropped;
               },
               true));
    if (step.program.ram_bytes() > ram_bytes_) return false;
    if (step.program.macs < best_->program.macs) best_ = std::move(step);
    kept_ = std::move(kept);
    return true;
  }

  Status keep_small_ones() {
    size_t fits = 0, too_many = by_size_.size();
    while (too_many - fits > 1) {
      const size_t middle = fits + (too_many - fits) / 2;
      const auto end = by_size_.begin() + static_cast<ptrdiff_t>(middle);
      FT_TRY(const bool kept, keep({by_size_.begin(), end}));
      (kept ? fits : too_many) = middle;
    }
    return ok_status();
  }

  // Of all but the `first` smallest. Spread over the network, so that no way
  // from a kept value is long.
  Status keep_some_others(size_t first) {
    constexpr size_t kTries = 24;
    std::vector<ValueId> others;
    for (size_t i = first; i < by_size_.size(); ++i)
      if (!kept_.contains(by_size_[i])) others.push_back(by_size_[i]);
    std::ranges::sort(others);
    size_t tries = 0;
    for (size_t step = others.size() / 2; step > 0; step /= 2)
      for (size_t i = step; i < others.size(); i += 2 * step) {
        if (++tries > kTries) return ok_status();
        std::set<ValueId> more = kept_;
        more.insert(others[i]);
        FT_TRY_STATUS(keep(std::move(more)).status());
      }
    return ok_status();
  }

  const size_t ram_bytes_;
  const CompileWith& compile_;
  std::optional<CompiledStep> best_;
  std::vector<ValueId> by_size_;
  size_t first_large_ = 0;  // in by_size_
  std::set<ValueId> kept_;
};

Result<CompiledStep> compile_as(Recompute mode, size_t ram_bytes,
                                const CompileWith& compile) {
  if (mode == Recompute::kIfNeeded) return DropSearch(ram_bytes, compile).run();
  if (mode == Recompute::kAll) return compile(large_values, true);
  const auto choose = mode == Recompute::kAlways ? marked_values : drop_nothing;
  FT_TRY(CompiledStep step, compile(choose, false));
  if (step.program.ram_bytes() <= ram_bytes) return step;
  return compile(choose, true);
}

}  // namespace

std::set<ValueId> large_values(const Graph& graph, NodeId first_backward) {
  constexpr size_t kSmall = 64;  // times smaller than the largest
  std::set<ValueId> all = droppable_values(graph, first_backward);
  size_t largest = 0;
  for (const ValueId v : all)
    largest = std::max(largest, graph.value(v).type.num_bytes());
  std::erase_if(all, [&](ValueId v) {
    return graph.value(v).type.num_bytes() * kSmall < largest;
  });
  return all;
}

Result<CompiledStep> compile_within_budget(Recompute mode, double limit,
                                           size_t ram_bytes,
                                           const CompileWith& compile) {
  FT_TRY(CompiledStep step, limit > 0 ? smallest_within_compute(limit, compile)
                                      : compile_as(mode, ram_bytes, compile));
  FT_TRY_STATUS(check_budget(step.program, ram_bytes));
  return step;
}

}  // namespace ft
