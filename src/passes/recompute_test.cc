#include "passes/recompute.h"

#include <gtest/gtest.h>

#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

const TensorType kSquare{
    .dtype = DType::kF32, .shape = Shape{3, 3}, .quant = {}};

// forward: y = x w; backward: z = y g, with the update of w before or after.
struct Step {
  Graph graph;
  ValueId y = kNone, z = kNone;
  NodeId first_backward = 0;
};

Step make_step(bool updates_first) {
  Step step;
  Graph& graph = step.graph;
  const ValueId x = graph.add_input("x", kSquare);
  const ValueId g = graph.add_input("g", kSquare);
  const ValueId w = graph.add_owned(ValueKind::kParam, "w", kSquare,
                                    std::vector<float>(9, 1.0f));
  const ValueId hyper = graph.add_value(
      {.name = "hyper",
       .type = {.dtype = DType::kF32, .shape = Shape{4}, .quant = {}},
       .kind = ValueKind::kState});
  step.y = *append(graph, ops::kMatmul, {x, w});
  step.first_backward = graph.num_nodes();
  const auto update = [&] {
    EXPECT_TRUE(append_node(graph, ops::kSgdUpdate, {w, g, hyper}).ok());
  };
  if (updates_first) update();
  step.z = *append(graph, ops::kMatmul, {step.y, g});
  if (!updates_first) update();
  graph.outputs = {step.z};
  return step;
}

TEST(Recompute, ComputesADroppedValueInFrontOfItsReader) {
  Step step = make_step(false);
  recompute_dropped(step.graph, step.first_backward, {step.y});
  ASSERT_EQ(step.graph.num_nodes(), 4);
  const Node& again = step.graph.node(1);
  EXPECT_EQ(again.op, &ops::kMatmul);
  EXPECT_EQ(step.graph.node(2).inputs[0], again.outputs[0]);
  EXPECT_NE(again.outputs[0], step.y);
}

// With the new weights y would be another.
TEST(Recompute, KeepsWhatAnUpdatedParameterWouldChange) {
  Step step = make_step(true);
  recompute_dropped(step.graph, step.first_backward, {step.y});
  ASSERT_EQ(step.graph.num_nodes(), 3);
  EXPECT_EQ(step.graph.node(2).inputs[0], step.y);
}

}  // namespace
}  // namespace ft
