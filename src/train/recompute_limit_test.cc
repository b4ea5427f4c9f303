#include "train/recompute_limit.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "passes/recompute.h"

namespace ft {
namespace {

// A chain of products of random widths, and a backward pass that reads each of
// them again, last ones first.
struct Chain {
  Graph graph;
  NodeId first_backward = 0;

  Chain(uint64_t seed, int length) {
    const Random random(seed, "chain");
    const auto constant = [&](int64_t rows, int64_t columns) {
      return graph.add_owned(
          ValueKind::kConstant, "w", type_of(rows, columns),
          std::vector<float>(static_cast<size_t>(rows * columns), 0.5f));
    };
    ValueId y = graph.add_input("x", type_of(kRows, 8));
    std::vector<ValueId> kept;
    for (int i = 0; i < length; ++i) {
      const int64_t columns = graph.value(y).type.shape[1];
      const int64_t next = 4 + random.below(static_cast<uint64_t>(i), 60);
      y = *append(graph, ops::kMatmul, {y, constant(columns, next)});
      kept.push_back(y);
    }
    first_backward = graph.num_nodes();
    ValueId sum = kNone;
    for (auto v = kept.rbegin(); v != kept.rend(); ++v) {
      const int64_t columns = graph.value(*v).type.shape[1];
      const ValueId part =
          *append(graph, ops::kMatmul, {*v, constant(columns, 2)});
      sum = sum == kNone
                ? part
                : *append(graph, ops::kBinary, {sum, part}, {{"kind", "add"}});
    }
    graph.outputs = {sum};
  }

  CompileWith compile() const {
    return [this](const ChooseDropped& choose, bool) -> Result<CompiledStep> {
      Graph step = graph.clone();
      recompute_dropped(step, first_backward, choose(step, first_backward));
      FT_TRY(Program program, build_program(std::move(step), kQuick));
      return CompiledStep{std::move(program), {}, {}};
    };
  }

  static inline const PlanOptions kQuick = {.placement_rounds = 50,
                                            .reorder = false};
  static constexpr int64_t kRows = 16;
  static TensorType type_of(int64_t rows, int64_t columns) {
    return {.dtype = DType::kF32, .shape = Shape{rows, columns}, .quant = {}};
  }
};

// The least RAM of all subsets within the limit.
size_t best_by_brute_force(const Chain& chain, double limit) {
  const CompileWith compile = chain.compile();
  std::vector<ValueId> all;
  const Result<CompiledStep> kept = compile(
      [&](const Graph& g, NodeId n) -> std::set<ValueId> {
        for (const ValueId v : large_values(g, n)) all.push_back(v);
        return {};
      },
      false);
  const double most = limit * static_cast<double>(kept->program.macs);
  size_t best = SIZE_MAX;
  for (uint32_t subset = 0; subset < 1u << all.size(); ++subset) {
    const Result<CompiledStep> step = compile(
        [&](const Graph&, NodeId) {
          std::set<ValueId> dropped;
          for (size_t i = 0; i < all.size(); ++i)
            if (subset >> i & 1) dropped.insert(all[i]);
          return dropped;
        },
        false);
    if (static_cast<double>(step->program.macs) <= most)
      best = std::min(best, step->program.ram_bytes());
  }
  return best;
}

TEST(RecomputeLimit, IsTheOptimumOfShortChains) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const Chain chain(seed, 6);
    for (const double limit : {1.0, 1.3, 2.0}) {
      const Result<CompiledStep> step =
          smallest_within_compute(limit, chain.compile());
      ASSERT_TRUE(step.ok());
      EXPECT_EQ(step->program.ram_bytes(), best_by_brute_force(chain, limit))
          << "seed " << seed << " limit " << limit;
    }
  }
}

TEST(RecomputeLimit, IsNearTheOptimumOfLongerChains) {
  double sum = 0, worst = 0;
  constexpr int kChains = 4;
  for (uint64_t seed = 1; seed <= kChains; ++seed) {
    const Chain chain(seed, 9);
    const Result<CompiledStep> step =
        smallest_within_compute(1.3, chain.compile());
    ASSERT_TRUE(step.ok());
    const double ratio = static_cast<double>(step->program.ram_bytes()) /
                         static_cast<double>(best_by_brute_force(chain, 1.3));
    sum += ratio;
    worst = std::max(worst, ratio);
  }
  std::printf(
      "RAM over the optimum of all subsets, %d chains: mean %.4f, "
      "worst %.4f\n",
      kChains, sum / kChains, worst);
  EXPECT_LE(sum / kChains, 1.02);
}

TEST(RecomputeLimit, ComputesNothingTwiceWithALimitOfOne) {
  const Chain chain(3, 10);
  const Result<CompiledStep> kept = chain.compile()(
      [](const Graph&, NodeId) { return std::set<ValueId>(); }, false);
  const Result<CompiledStep> step =
      smallest_within_compute(1.0, chain.compile());
  ASSERT_TRUE(step.ok());
  EXPECT_EQ(step->program.macs, kept->program.macs);
}

}  // namespace
}  // namespace ft
