#include "plan/operator_order.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "plan/program.h"

namespace ft {
namespace {

constexpr int64_t kWork = 1'000'000;

TensorType matrix(int64_t rows, int64_t columns) {
  return {.dtype = DType::kF32, .shape = Shape{rows, columns}, .quant = {}};
}

ValueId weight(Graph& graph, ValueKind kind, int64_t rows, int64_t columns) {
  return graph.add_owned(
      kind, "w", matrix(rows, columns),
      std::vector<float>(static_cast<size_t>(rows * columns), 1.0f));
}

// Products of any earlier matrices, of any width.
Graph random_graph(uint64_t seed) {
  const Random random(seed, "graph");
  Graph graph;
  std::vector<ValueId> made = {graph.add_input("x", matrix(2, 8))};
  for (uint64_t i = 0; i < 12; ++i) {
    const ValueId from =
        made[random.below(3 * i, static_cast<uint32_t>(made.size()))];
    const int64_t columns = 1 + random.below(3 * i + 1, 64);
    made.push_back(
        *append(graph, ops::kMatmul,
                {from, weight(graph, ValueKind::kConstant,
                              graph.value(from).type.shape[1], columns)}));
    if (random.below(3 * i + 2, 4) == 0) graph.outputs.push_back(made.back());
  }
  for (const ValueId v : made)
    if (v != made[0] && graph.readers(v).empty() &&
        std::ranges::find(graph.outputs, v) == graph.outputs.end())
      graph.outputs.push_back(v);
  return graph;
}

// Where a node stands in the order that is found.
class Turns {
 public:
  explicit Turns(const Graph& graph) : graph_(graph) {
    const std::vector<Overlap> none(static_cast<size_t>(graph.num_nodes()));
    order_ = order_for_peak(graph, none, kWork);
  }
  ptrdiff_t of(NodeId n) const {
    return std::ranges::find(order_, n) - order_.begin();
  }
  ptrdiff_t of_producer(ValueId v) const {
    return of(graph_.value(v).producer);
  }

 private:
  const Graph& graph_;
  std::vector<NodeId> order_;
};

TEST(OperatorOrder, FinishesOneWideBranchBeforeTheNext) {
  Graph graph;
  const ValueId x = graph.add_input("x", matrix(1, 4));
  std::vector<ValueId> wide, narrow;
  for (int i = 0; i < 3; ++i)
    wide.push_back(*append(graph, ops::kMatmul,
                           {x, weight(graph, ValueKind::kConstant, 4, 256)}));
  for (const ValueId v : wide)
    narrow.push_back(*append(graph, ops::kMatmul,
                             {v, weight(graph, ValueKind::kConstant, 256, 2)}));
  graph.outputs = narrow;
  const Turns turns(graph);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(turns.of_producer(narrow[i]), turns.of_producer(wide[i]) + 1);
}

// Running the update first would free its gradient, but then y were another.
TEST(OperatorOrder, ReadsAParameterBeforeItIsUpdated) {
  Graph graph;
  const ValueId w = weight(graph, ValueKind::kParam, 16, 16);
  const ValueId hyper = graph.add_value(
      {.name = "hyper",
       .type = {.dtype = DType::kF32, .shape = Shape{4}, .quant = {}},
       .kind = ValueKind::kState});
  const ValueId x = graph.add_input("x", matrix(2, 16));
  const ValueId z = graph.add_input("z", matrix(16, 1));
  const ValueId more = *append(
      graph, ops::kMatmul, {x, weight(graph, ValueKind::kConstant, 16, 64)});
  const ValueId grad = *append(graph, ops::kMatmul,
                               {z, weight(graph, ValueKind::kConstant, 1, 16)});
  const ValueId less = *append(
      graph, ops::kMatmul, {more, weight(graph, ValueKind::kConstant, 64, 16)});
  const ValueId y = *append(graph, ops::kMatmul, {less, w});
  ASSERT_TRUE(append_node(graph, ops::kSgdUpdate, {w, grad, hyper}).ok());
  graph.outputs = {y};
  const Turns turns(graph);
  EXPECT_GT(turns.of_producer(grad), turns.of_producer(less));
  EXPECT_GT(turns.of(graph.num_nodes() - 1), turns.of_producer(y));
}

// The planner compares whole plans.
TEST(OperatorOrder, NeverMakesAPlanLarger) {
  int smaller = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    PlanOptions options;
    const Result<Program> better = build_program(random_graph(seed), options);
    options.reorder = false;
    const Result<Program> given = build_program(random_graph(seed), options);
    ASSERT_TRUE(better.ok() && given.ok());
    EXPECT_LE(better->arena_bytes, given->arena_bytes) << "seed " << seed;
    EXPECT_EQ(plan_hash(*better), plan_hash(*given));
    smaller += better->arena_bytes < given->arena_bytes;
  }
  EXPECT_GT(smaller, 20);
}

}  // namespace
}  // namespace ft
