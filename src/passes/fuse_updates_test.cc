#include "passes/fuse_updates.h"

#include <gtest/gtest.h>

#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/outer_updates.h"

namespace ft {
namespace {

TensorType f32(Shape shape) {
  return {.dtype = DType::kF32, .shape = shape, .quant = {}};
}

// dw = dy^T x of `batch` samples, and the update of w.
struct Step {
  Graph graph;
  ValueId dw = kNone;
};

Step make_step(int64_t batch, const Attrs& attrs = {{"trans_a", 1}}) {
  Step step;
  Graph& g = step.graph;
  const ValueId dy = g.add_input("dy", f32({batch, 3}));
  const ValueId x = g.add_input("x", f32({batch, 4}));
  const ValueId w = g.add_owned(ValueKind::kParam, "w", f32({3, 4}),
                                std::vector<float>(12, 1.0f));
  const ValueId hyper = g.add_value(
      {.name = "hyper", .type = f32({4}), .kind = ValueKind::kState});
  step.dw = *append(g, ops::kMatmul, {dy, x}, attrs);
  const ValueId flat = *append(g, ops::kReshape, {step.dw},
                               {{"shape", std::vector<int64_t>{12}}});
  const ValueId back = *append(g, ops::kReshape, {flat},
                               {{"shape", std::vector<int64_t>{3, 4}}});
  EXPECT_TRUE(append_node(g, ops::kSgdUpdate, {w, back, hyper}).ok());
  return step;
}

TEST(FuseUpdates, LeavesNoTensorOfAnOuterProduct) {
  Step step = make_step(1);
  fuse_updates(step.graph);
  ASSERT_EQ(step.graph.num_nodes(), 1);
  const Node& node = step.graph.node(0);
  EXPECT_EQ(node.op, &ops::kOuterSgdUpdate);
  EXPECT_EQ(node.inputs.size(), 4u);
  EXPECT_EQ(step.graph.value(node.inputs[1]).name, "dy");
  EXPECT_EQ(step.graph.value(node.inputs[2]).name, "x");
}

void expect_kept(Step step) {
  fuse_updates(step.graph);
  ASSERT_EQ(step.graph.num_nodes(), 4);
  EXPECT_EQ(step.graph.node(3).op, &ops::kSgdUpdate);
}

TEST(FuseUpdates, KeepsSumsOverSamples) { expect_kept(make_step(2)); }

TEST(FuseUpdates, KeepsAGradientThatIsScaled) {
  expect_kept(make_step(1, {{"trans_a", 1}, {"alpha", 0.5}}));
}

TEST(FuseUpdates, KeepsAGradientThatSomethingElseReads) {
  Step step = make_step(1);
  step.graph.outputs = {step.dw};
  expect_kept(std::move(step));
}

}  // namespace
}  // namespace ft
