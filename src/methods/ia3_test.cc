#include <gtest/gtest.h>

#include "methods/method.h"
#include "methods/tiny_model.h"
#include "ops/verify.h"

namespace ft {
namespace {

const MethodDef& ia3() { return *find_method("ia3").value(); }

MethodSettings settings(const std::string& feedforward) {
  MethodSettings s;
  s.method = "ia3";
  s.own["feedforward_modules"] = feedforward;
  return s;
}

TEST(Ia3, HasPeftsNamesAndShapes) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  const Status status = ia3().apply(graph, settings("block/conv,fc"), adapted);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(verify(graph).ok());
  std::map<std::string, Shape> shapes;
  for (const AdapterTensor& t : adapted.tensors)
    shapes[t.name] = t.file_shape();
  EXPECT_EQ(shapes.size(), 3u);
  EXPECT_EQ(shapes["base_model.model.block/conv.ia3_l"], (Shape{1, 2, 1, 1}));
  EXPECT_EQ(shapes["base_model.model.block/dw.ia3_l"], (Shape{1, 4, 1, 1}));
  EXPECT_EQ(shapes["base_model.model.fc.ia3_l"], (Shape{1, 4}));
}

TEST(Ia3, AFeedforwardModuleThatIsNotAdaptedIsRefused) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  MethodSettings s = settings("fc");
  s.target_modules = {"dw"};
  const Status status = ia3().apply(graph, s, adapted);
  EXPECT_EQ(status.code(), Code::kUsage);
  EXPECT_NE(status.message().find("'fc'"), std::string::npos);
  EXPECT_NE(status.message().find("block/dw"), std::string::npos);
}

TEST(Ia3, TwoOfThemMultiplyTheirFactors) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  MethodSettings s = settings("");
  s.target_modules = {"fc"};
  ASSERT_TRUE(ia3().apply(graph, s, adapted).ok());
  ASSERT_TRUE(ia3().apply(graph, s, adapted).ok());
  EXPECT_TRUE(verify(graph).ok());
  for (NodeId n = 0; n < graph.num_nodes(); ++n) {
    const Node& node = graph.node(n);
    if (node.name != "fc") continue;
    EXPECT_EQ(graph.node(graph.value(node.inputs[5]).producer).op,
              &ops::kBinary);
  }
}

TEST(Ia3, AnotherAdapterMayComeBeforeButNotBehind) {
  const MethodDef& lora = *find_method("lora").value();
  MethodSettings low_rank;
  low_rank.r = 2;
  for (const char* feedforward : {"", "*"}) {
    Graph first = tiny_model(1), second = tiny_model(1);
    AdaptedGraph adapted;
    ASSERT_TRUE(ia3().apply(first, settings(feedforward), adapted).ok());
    const Status status = lora.apply(first, low_rank, adapted);
    EXPECT_EQ(status.code(), Code::kUsage);
    EXPECT_NE(status.message().find("block/conv"), std::string::npos);
    ASSERT_TRUE(lora.apply(second, low_rank, adapted).ok());
    EXPECT_EQ(ia3().apply(second, settings(feedforward), adapted).ok(),
              *feedforward == '\0');
  }
}

TEST(Dora, GoesAloneWithALayer) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  const MethodDef& lora = *find_method("lora").value();
  MethodSettings s;
  s.r = 2;
  ASSERT_TRUE(lora.apply(graph, s, adapted).ok());
  s.own["use_dora"] = "true";
  EXPECT_NE(lora.apply(graph, s, adapted).message().find("alone"),
            std::string::npos);
  Graph weighted = tiny_model(1);
  s.weight = 0.5;
  EXPECT_NE(lora.apply(weighted, s, adapted).message().find("weight"),
            std::string::npos);
}

TEST(Ia3, MergingScalesWeightAndBiasOfTheOutput) {
  const Graph base = tiny_model(1);
  const auto merged = ia3().merge(base, settings(""),
                                  {{"base_model.model.fc.ia3_l", {1, 0, -2}}});
  ASSERT_TRUE(merged.ok()) << merged.status().message();
  ASSERT_EQ(merged->size(), 1u);
  const auto w = data_of<float>(base.value(base.find_value("fc/w")));
  const auto b = data_of<float>(base.value(base.find_value("fc/b")));
  const MergedModule& fc = (*merged)[0];
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(fc.weight[i], w[i]);
    EXPECT_EQ(fc.weight[4 + i], 0);
    EXPECT_EQ(fc.weight[8 + i], -2 * w[8 + i]);
  }
  EXPECT_EQ(fc.bias[2], -2 * b[2]);
}

TEST(Ia3, MergingRefusesATensorOfAnotherSize) {
  const auto merged = ia3().merge(tiny_model(1), settings(""),
                                  {{"base_model.model.fc.ia3_l", {1, 2}}});
  ASSERT_FALSE(merged.ok());
  EXPECT_NE(merged.status().message().find("2 values"), std::string::npos);
}

}  // namespace
}  // namespace ft
