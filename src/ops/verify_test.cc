#include "ops/verify.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/example_types.h"
#include "ops/print.h"

namespace ft {
namespace {

// x [3, 5] times w [5, 4], and an update of the parameter w.
struct Small {
  Graph graph;
  ValueId x, w, hyper, y, z;
};

Small small_graph() {
  Small s;
  s.x = s.graph.add_input("x", f32({3, 5}));
  s.w = s.graph.add_owned(ValueKind::kParam, "w", f32({5, 4}),
                          std::vector<float>(20));
  s.hyper = s.graph.add_value(
      {.name = "hyper", .type = f32({4}), .kind = ValueKind::kState});
  const auto y =
      append(s.graph, ops::kMatmul, {s.x, s.w}, {}, {.name = "product"});
  s.y = y.value();
  const auto z =
      append(s.graph, ops::kTranspose, {s.y},
             {{"perm", std::vector<int64_t>{1, 0}}}, {.name = "turned"});
  s.z = z.value();
  const auto updated = append_node(s.graph, ops::kSgdUpdate,
                                   {s.w, s.w, s.hyper}, {}, {.name = "update"});
  EXPECT_TRUE(updated.ok()) << updated.status().message();
  s.graph.outputs = {s.z};
  return s;
}

// The sentence with which verify() refuses the graph after `breakage`.
std::string refusal(const std::function<void(Small&)>& breakage) {
  Small s = small_graph();
  breakage(s);
  const Status status = verify(s.graph);
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(print_graph(s.graph).empty());
  return status.message();
}

void expect_words(const std::string& text,
                  const std::vector<std::string>& words) {
  for (const std::string& word : words)
    EXPECT_NE(text.find(word), std::string::npos)
        << "no '" << word << "' in: " << text;
}

TEST(Verify, AcceptsAWellFormedGraph) {
  const Small s = small_graph();
  const Status status = verify(s.graph);
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(Verify, AcceptsAnEmptyGraph) { EXPECT_TRUE(verify(Graph()).ok()); }

TEST(Verify, NamesANodeThatReadsTooEarly) {
  expect_words(
      refusal([](Small& s) {
        s.graph.set_nodes({s.graph.node(1), s.graph.node(0), s.graph.node(2)});
      }),
      {"node 0 transpose 'turned'", "'product'", "before"});
}

TEST(Verify, NamesASecondProducer) {
  expect_words(
      refusal([](Small& s) {
        s.graph.set_nodes({s.graph.node(0), s.graph.node(0), s.graph.node(1)});
      }),
      {"matmul 'product'", "'product'", "producer"});
}

TEST(Verify, NamesAWrongShape) {
  expect_words(
      refusal([](Small& s) { s.graph.value(s.y).type.shape.set(1, 7); }),
      {"node 0 matmul 'product'", "float32[3, 7]", "float32[3, 4]"});
}

TEST(Verify, NamesAWrongDtype) {
  expect_words(
      refusal([](Small& s) { s.graph.value(s.y).type.dtype = DType::kS32; }),
      {"node 0 matmul 'product'", "int32[3, 4]", "float32[3, 4]"});
}

TEST(Verify, PassesOnTheShapeRulesSentence) {
  expect_words(
      refusal([](Small& s) { s.graph.value(s.x).type.shape.set(1, 6); }),
      {"matmul 'product'", "a has k=6, b has k=5"});
}

TEST(Verify, NamesValueIdsOutOfRange) {
  expect_words(refusal([](Small& s) { s.graph.node(1).inputs[0] = 99; }),
               {"node 1 transpose 'turned'", "value 99"});
  expect_words(refusal([](Small& s) { s.graph.node(1).outputs[0] = 99; }),
               {"node 1 transpose 'turned'", "value 99"});
  expect_words(refusal([](Small& s) { s.graph.node(1).inputs[0] = -7; }),
               {"node 1 transpose 'turned'", "value -7"});
  expect_words(refusal([](Small& s) { s.graph.outputs = {42}; }), {"42"});
  expect_words(refusal([](Small& s) { s.graph.inputs = {s.w}; }),
               {"graph input 1"});
}

TEST(Verify, NamesAMissingInput) {
  expect_words(refusal([](Small& s) { s.graph.node(0).inputs[1] = kNone; }),
               {"node 0 matmul 'product'", "lacks input 1"});
  expect_words(refusal([](Small& s) { s.graph.node(0).inputs.pop_back(); }),
               {"node 0 matmul 'product'", "2 to 2", "has 1"});
}

TEST(Verify, NamesDataOfTheWrongSize) {
  expect_words(refusal([](Small& s) {
                 Value& w = s.graph.value(s.w);
                 w.data = w.data.subspan(4);
               }),
               {"'w'", "80 bytes", "has 76"});
  expect_words(
      refusal([](Small& s) { s.graph.value(s.x).kind = ValueKind::kConstant; }),
      {"'x'", "60 bytes", "has 0"});
}

TEST(Verify, NamesAReadAfterAnUpdate) {
  expect_words(
      refusal([](Small& s) {
        s.graph.set_nodes({s.graph.node(2), s.graph.node(0), s.graph.node(1)});
      }),
      {"node 1 matmul 'product'", "'w'", "node 0", "updated"});
}

TEST(Verify, NamesAnUpdateOfAConstant) {
  expect_words(
      refusal([](Small& s) { s.graph.value(s.w).kind = ValueKind::kConstant; }),
      {"node 2 sgd_update 'update'", "'w'", "no parameter"});
}

TEST(Verify, NamesAnOutputThatNobodyProduces) {
  expect_words(refusal([](Small& s) { s.graph.set_nodes({s.graph.node(0)}); }),
               {"'turned'", "never produced"});
}

TEST(Verify, RefusesHugeAndNegativeDimensions) {
  expect_words(refusal([](Small& s) {
                 s.graph.value(s.hyper).type.shape =
                     Shape{int64_t{1} << 40, int64_t{1} << 40};
               }),
               {"'hyper'", "1099511627776", "2^31"});
  expect_words(refusal([](Small& s) {
                 s.graph.value(s.hyper).type.shape = Shape{-1, 4};
               }),
               {"'hyper'", "[-1, 4]"});
}

TEST(Verify, RefusesScalesThatDoNotMatchTheirDimension) {
  expect_words(
      refusal([](Small& s) {
        s.graph.value(s.w).type.quant = {.scale = {1, 2}, .zero_point = {0, 0}};
      }),
      {"'w'", "2 scales", "dimension 0"});
}

TEST(PrintGraph, ShowsBordersTypesAndAttributes) {
  const std::string text = print_graph(small_graph().graph);
  expect_words(text, {"graph(%0) -> (%4)", "input %0 'x' float32[3, 5]",
                      "param %1 'w' float32[5, 4]",
                      "%3 'product' float32[3, 4] = matmul(%0, %1)",
                      "= transpose(%3) {perm=[1, 0]}  # 'turned'",
                      "\nsgd_update(%1, %1, %2)"});
}

}  // namespace
}  // namespace ft
