// use_rslora, use_qalora and lora-fa; plain LoRA is in methods_test.cc, and all
// are compared with PEFT in tests/python/test_methods_peft.py.
#include <gtest/gtest.h>

#include <cmath>

#include "methods/method.h"
#include "methods/tiny_model.h"
#include "ops/verify.h"

namespace ft {
namespace {

MethodSettings settings_of(const char* method, int r) {
  MethodSettings s;
  s.method = method;
  s.r = r;
  s.lora_alpha = 6;
  s.target_modules = {"conv", "fc"};
  return s;
}

Status apply(Graph& graph, const MethodSettings& s, AdaptedGraph& adapted) {
  return find_method(s.method).value()->apply(graph, s, adapted);
}

const Node& node_named(const Graph& graph, const std::string& name) {
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    if (graph.node(n).name == name) return graph.node(n);
  ADD_FAILURE() << "no node " << name;
  return graph.node(0);
}

TEST(RsLora, ScalesByTheRootOfTheRank) {
  for (const bool rs : {false, true}) {
    Graph graph = tiny_model(1);
    AdaptedGraph adapted;
    MethodSettings s = settings_of("lora", 3);
    if (rs) s.own["use_rslora"] = "true";
    ASSERT_TRUE(apply(graph, s, adapted).ok());
    EXPECT_DOUBLE_EQ(node_named(graph, "fc").attrs.get_real("lora_scaling", 0),
                     rs ? 6 / std::sqrt(3.0) : 2.0);
  }
}

TEST(LoraFa, KeepsAInTheAdapterButDoesNotTrainIt) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  ASSERT_TRUE(apply(graph, settings_of("lora-fa", 2), adapted).ok());
  EXPECT_TRUE(verify(graph).ok());
  ASSERT_EQ(adapted.tensors.size(), 4u);
  for (const AdapterTensor& t : adapted.tensors)
    EXPECT_EQ(t.trainable, t.name.find("lora_B") != std::string::npos)
        << t.name;
}

TEST(QaLora, SharesColumnsOfAAmongAGroup) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  MethodSettings s = settings_of("lora", 2);
  s.own = {{"use_qalora", "true"}, {"qalora_group_size", "2"}};
  const Status status = apply(graph, s, adapted);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(verify(graph).ok());
  EXPECT_EQ(adapted.tensors[0].file_shape(), (Shape{2, 1, 3, 3}));
  EXPECT_EQ(adapted.tensors[2].file_shape(), (Shape{2, 2}));
}

TEST(QaLora, RefusesWhatDoesNotFormGroupsByName) {
  struct Refusal {
    const char *target, *size, *word;
  };
  for (const Refusal& refusal :
       {Refusal{"fc", "3", "does not divide"},
        Refusal{"fc", "4", "groups of 4"}, Refusal{"dw", "1", "not defined"}}) {
    Graph graph = tiny_model(1);
    AdaptedGraph adapted;
    MethodSettings s = settings_of("lora", 2);
    s.target_modules = {refusal.target};
    s.own = {{"use_qalora", "true"}, {"qalora_group_size", refusal.size}};
    const Status status = apply(graph, s, adapted);
    EXPECT_EQ(status.code(), Code::kUsage);
    EXPECT_NE(status.message().find(refusal.word), std::string::npos)
        << status.message();
    EXPECT_NE(status.message().find(refusal.target), std::string::npos)
        << status.message();
  }
}

}  // namespace
}  // namespace ft
