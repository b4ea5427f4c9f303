#include <gtest/gtest.h>

#include "methods/bottleneck_sites.h"
#include "methods/method.h"
#include "methods/tiny_model.h"
#include "ops/verify.h"

namespace ft {
namespace {

MethodSettings settings(const char* variant,
                        std::vector<std::string> targets = {}) {
  MethodSettings s;
  s.method = "bottleneck";
  s.own = {{"variant", variant}, {"reduction_factor", "2"}};
  s.target_modules = std::move(targets);
  return s;
}

struct Adapted {
  Graph graph = tiny_model(2);
  AdaptedGraph adapted;
  Status status;
  std::map<std::string, Shape> shapes;

  explicit Adapted(const MethodSettings& s) {
    status = find_method(s.method).value()->apply(graph, s, adapted);
    for (const AdapterTensor& t : adapted.tensors)
      shapes[t.name.substr(std::string("base_model.model.").size())] =
          t.file_shape();
  }
};

TEST(Bottleneck, StandsBehindTheConvolutionsByDefault) {
  const Adapted a(settings("pfeiffer"));
  ASSERT_TRUE(a.status.ok()) << a.status.message();
  EXPECT_TRUE(verify(a.graph).ok());
  ASSERT_EQ(a.shapes.size(), 4u);
  EXPECT_EQ(a.shapes.at("block/conv.adapter_down.0.weight"),
            (Shape{2, 4, 1, 1}));
  EXPECT_EQ(a.shapes.at("block/conv.adapter_down.0.bias"), (Shape{2}));
  EXPECT_EQ(a.shapes.at("block/conv.adapter_up.weight"), (Shape{4, 2, 1, 1}));
  EXPECT_EQ(a.shapes.at("block/conv.adapter_up.bias"), (Shape{4}));
}

TEST(Bottleneck, ParallelHasTheWindowOfItsLayer) {
  const Adapted a(settings("parallel", {"conv", "fc"}));
  ASSERT_TRUE(a.status.ok()) << a.status.message();
  EXPECT_TRUE(verify(a.graph).ok());
  EXPECT_EQ(a.shapes.at("block/conv.adapter_down.0.weight"),
            (Shape{2, 2, 3, 3}));
  EXPECT_EQ(a.shapes.at("fc.adapter_down.0.weight"), (Shape{1, 4}));
  EXPECT_EQ(a.shapes.at("fc.adapter_up.weight"), (Shape{3, 1}));
}

TEST(Bottleneck, ReadersOfTheLayerReadTheSum) {
  const Adapted a(settings("houlsby", {"dw"}));
  ASSERT_TRUE(a.status.ok()) << a.status.message();
  for (NodeId n = 0; n < a.graph.num_nodes(); ++n) {
    const Node& node = a.graph.node(n);
    if (node.name != "pool") continue;
    EXPECT_EQ(a.graph.node(a.graph.value(node.inputs[0]).producer).name,
              "block/dw/adapter_sum");
  }
}

TEST(Bottleneck, ParallelIsRefusedOnADepthwiseLayer) {
  const Adapted a(settings("parallel", {"dw"}));
  EXPECT_EQ(a.status.code(), Code::kUsage);
  EXPECT_NE(a.status.message().find("block/dw"), std::string::npos);
}

TEST(Bottleneck, ParallelToABlockNeedsAResidualSum) {
  const Adapted a(settings("parallel_block", {"conv"}));
  EXPECT_EQ(a.status.code(), Code::kUsage);
  EXPECT_NE(a.status.message().find("block/conv"), std::string::npos);
}

TEST(Bottleneck, WidthsAreDividedAsPythonDoes) {
  EXPECT_EQ(bottleneck_width(768, 16), 48);
  EXPECT_EQ(bottleneck_width(40, 3), 13);
  EXPECT_EQ(bottleneck_width(6, 0.1), 59);  // 6 // 0.1, where 6 / 0.1 is 60
  EXPECT_EQ(bottleneck_width(6, 0.5), 12);
  EXPECT_EQ(bottleneck_width(4, 100), 1);
}

TEST(Bottleneck, IsAtLeastOneWide) {
  MethodSettings s = settings("houlsby", {"fc"});
  s.own["reduction_factor"] = "100";
  const Adapted a(s);
  ASSERT_TRUE(a.status.ok()) << a.status.message();
  EXPECT_EQ(a.shapes.at("fc.adapter_down.0.weight"), (Shape{1, 3}));
}

TEST(Bottleneck, EveryNonLinearityMakesAGraph) {
  for (const char* name : {"relu", "relu6", "gelu", "gelu_new", "silu", "swish",
                           "leakyrelu", "tanh", "sigmoid", "linear"})
    for (const char* variant : {"houlsby", "parallel"}) {
      MethodSettings s = settings(variant, {"conv"});
      s.own["non_linearity"] = name;
      s.own["scaling"] = "0.5";
      const Adapted a(s);
      EXPECT_TRUE(a.status.ok()) << name << ": " << a.status.message();
      EXPECT_TRUE(verify(a.graph).ok()) << name;
    }
}

TEST(Bottleneck, CannotBeMerged) {
  EXPECT_EQ(find_method("bottleneck").value()->merge, nullptr);
}

}  // namespace
}  // namespace ft
