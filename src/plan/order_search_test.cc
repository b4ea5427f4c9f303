#include "plan/order_search.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace ft {
namespace {

// Up to eight operations that read up to three earlier buffers.
OrderProblem random_problem(uint64_t seed) {
  const Random random(seed, "random order");
  uint64_t draw = 0;
  const auto below = [&](uint32_t n) {
    return static_cast<int>(random.below(draw++, n));
  };
  OrderProblem p;
  p.buffers.push_back({.bytes = 1 + static_cast<size_t>(below(9)),
                       .from_start = true,
                       .to_end = below(2) == 0});
  std::vector<int> maker = {-1};
  const int n = 4 + below(5);
  for (int op = 0; op < n; ++op) {
    OrderProblem::Operation o;
    for (int k = 1 + below(3); k > 0; --k) {
      const int b = below(static_cast<uint32_t>(p.buffers.size()));
      if (std::ranges::find(o.reads, b) != o.reads.end()) continue;
      o.reads.push_back(b);
      const int m = maker[static_cast<size_t>(b)];
      if (m >= 0 && std::ranges::find(o.before, m) == o.before.end())
        o.before.push_back(m);
    }
    for (int k = below(8) == 0 ? 2 : 1; k > 0; --k) {
      o.makes.push_back(static_cast<int>(p.buffers.size()));
      p.buffers.push_back({.bytes = static_cast<size_t>(below(10)),
                           .from_start = false,
                           .to_end = below(6) == 0});
      maker.push_back(op);
    }
    if (below(2) == 0) {
      o.over = o.reads[0];
      const size_t most =
          std::min(p.buffers[static_cast<size_t>(o.over)].bytes,
                   p.buffers[static_cast<size_t>(o.makes[0])].bytes);
      o.saves = below(2) == 0 ? most : most / 2;
    }
    p.operations.push_back(o);
  }
  return p;
}

bool is_possible(const OrderProblem& p, const std::vector<int>& order) {
  std::vector<bool> done(p.operations.size(), false);
  for (const int op : order) {
    for (const int b : p.operations[static_cast<size_t>(op)].before)
      if (!done[static_cast<size_t>(b)]) return false;
    done[static_cast<size_t>(op)] = true;
  }
  return std::ranges::count(done, true) ==
         static_cast<ptrdiff_t>(p.operations.size());
}

size_t lowest_by_brute_force(const OrderProblem& p) {
  std::vector<int> order(p.operations.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  size_t best = SIZE_MAX;
  do {
    if (is_possible(p, order)) best = std::min(best, peak_bytes(p, order));
  } while (std::ranges::next_permutation(order).found);
  return best;
}

TEST(OrderSearch, EqualsBruteForceOverAllOrders) {
  int better = 0;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    const OrderProblem p = random_problem(seed);
    const OperationOrder found = find_order(p, 10'000'000);
    ASSERT_TRUE(is_possible(p, found.order)) << "seed " << seed;
    EXPECT_EQ(found.peak_bytes, peak_bytes(p, found.order));
    EXPECT_EQ(found.peak_bytes, lowest_by_brute_force(p)) << "seed " << seed;
    EXPECT_TRUE(found.is_optimal());
    std::vector<int> given(p.operations.size());
    for (size_t i = 0; i < given.size(); ++i) given[i] = static_cast<int>(i);
    better += found.peak_bytes < peak_bytes(p, given);
  }
  EXPECT_GT(better, 20);
}

TEST(OrderSearch, ItsBoundHoldsWhereTheWorkIsUsedUp) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    const OrderProblem p = random_problem(seed);
    const OperationOrder hasty = find_order(p, 60);
    ASSERT_TRUE(is_possible(p, hasty.order));
    const size_t lowest = find_order(p, 10'000'000).peak_bytes;
    EXPECT_LE(hasty.proven_bytes, lowest) << "seed " << seed;
    EXPECT_GE(hasty.peak_bytes, lowest) << "seed " << seed;
  }
}

TEST(OrderSearch, KeepsTheOrderGivenWhereNothingIsGained) {
  OrderProblem p;
  p.buffers = {{8, true, false}, {8, false, false}, {8, false, true}};
  p.operations = {{{}, {0}, {1}, -1, 0}, {{0}, {1}, {2}, -1, 0}};
  EXPECT_EQ(find_order(p, 1000).order, (std::vector<int>{0, 1}));
}

}  // namespace
}  // namespace ft
