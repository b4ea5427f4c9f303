#include "train/drop_search.h"

#include <algorithm>
#include <vector>

#include "passes/recompute.h"

namespace ft {
namespace {

std::set<ValueId> drop_nothing(const Graph&, NodeId) { return {}; }

// Droppable values, but for small ones: computing those again would save
// nothing and cost a forward pass each.
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

// Keeps as many values as the budget has room for, small ones first: the search
// is over how many, then over some of the others.
class DropSearch {
 public:
  explicit DropSearch(const CompileWith& compile) : compile_(compile) {}

  Result<CompiledStep> run() {
    auto best = compile_([this](const Graph& g, NodeId n) {
      const std::set<ValueId> all = large_values(g, n);
      by_size_.assign(all.begin(), all.end());
      std::ranges::stable_sort(by_size_, {}, [&g](ValueId v) {
        return g.value(v).type.num_bytes();
      });
      return all;
    });
    if (!best.ok()) return best;
    keep_small_ones(best);
    keep_some_others(best);
    return best;
  }

 private:
  bool keep(std::set<ValueId> kept, Result<CompiledStep>& best) {
    auto step = compile_([&](const Graph& g, NodeId n) {
      std::set<ValueId> dropped = large_values(g, n);
      std::erase_if(dropped, [&](ValueId v) { return kept.contains(v); });
      return dropped;
    });
    if (!step.ok()) return false;
    best = std::move(step);
    kept_ = std::move(kept);
    return true;
  }

  void keep_small_ones(Result<CompiledStep>& best) {
    size_t fits = 0, too_many = by_size_.size();
    while (too_many - fits > 1) {
      const size_t middle = fits + (too_many - fits) / 2;
      const auto end = by_size_.begin() + static_cast<ptrdiff_t>(middle);
      (keep({by_size_.begin(), end}, best) ? fits : too_many) = middle;
    }
  }

  // Spread over the network, so that no way from a kept value is long.
  void keep_some_others(Result<CompiledStep>& best) {
    constexpr size_t kTries = 24;
    const std::set<ValueId> fits = kept_;
    std::vector<ValueId> others;
    for (const ValueId v : by_size_)
      if (!fits.contains(v)) others.push_back(v);
    std::ranges::sort(others);
    size_t tries = 0;
    for (size_t step = others.size() / 2; step > 0; step /= 2)
      for (size_t i = step; i < others.size(); i += 2 * step) {
        if (++tries > kTries) return;
        std::set<ValueId> more = kept_;
        more.insert(others[i]);
        keep(std::move(more), best);
      }
  }

  const CompileWith& compile_;
  std::vector<ValueId> by_size_;
  std::set<ValueId> kept_;
};

}  // namespace

Result<CompiledStep> compile_within_budget(Recompute mode,
                                           const CompileWith& compile) {
  switch (mode) {
    case Recompute::kNever: return compile(drop_nothing);
    case Recompute::kAlways: return compile(marked_values);
    case Recompute::kAll: return compile(large_values);
    case Recompute::kIfNeeded: break;
  }
  for (const auto choose : {drop_nothing, marked_values}) {
    auto step = compile(choose);
    if (step.ok() || step.status().code() != Code::kDoesNotFit) return step;
  }
  return DropSearch(compile).run();
}

}  // namespace ft
