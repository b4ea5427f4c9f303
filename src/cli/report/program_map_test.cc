#include "cli/report/program_map.h"

#include <gtest/gtest.h>

#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft::cli {
namespace {

const TensorType kSquare{
    .dtype = DType::kF32, .shape = Shape{3, 3}, .quant = {}};

// What the backward pass makes of parameters alone may run first.
TEST(ProgramMap, TheBackwardPassBeginsWithWhatKnowsTheTarget) {
  Graph graph;
  const ValueId x = graph.add_input("x", kSquare);
  const ValueId target = graph.add_input("target", kSquare);
  graph.add_input("hyper", {.dtype = DType::kF32, .shape = {4}, .quant = {}});
  const ValueId w = graph.add_owned(ValueKind::kParam, "w", kSquare,
                                    std::vector<float>(9, 1.0f));
  const Attrs add{{"kind", "add"}};
  const ValueId early =
      *append(graph, ops::kBinary, {w, w}, add, {.name = "grad/w_twice"});
  const ValueId y = *append(graph, ops::kMatmul, {x, w}, {}, {.name = "y"});
  const ValueId loss =
      *append(graph, ops::kMseLoss, {y, target}, {}, {.name = "loss"});
  const ValueId late =
      *append(graph, ops::kBinary, {y, target}, add, {.name = "grad/y"});
  graph.outputs = {loss, early, late};
  const auto program = build_program(std::move(graph), {.reorder = false});
  ASSERT_TRUE(program.ok()) << program.status().message();
  const MemoryMap map = map_of(*program);
  ASSERT_EQ(map.calls.size(), 4u);
  EXPECT_EQ(map.backward_call, 3);
}

}  // namespace
}  // namespace ft::cli
