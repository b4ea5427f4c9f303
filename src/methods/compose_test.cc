// Which adapters go together; the sums themselves are compared with PEFT in
// tests/python/test_compose.py.
#include "methods/compose.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "methods/tiny_model.h"
#include "ops/verify.h"

namespace ft {
namespace {

MethodSettings settings_of(const char* method, double weight = 1) {
  MethodSettings s;
  s.method = method;
  s.r = 2;
  s.lora_alpha = 4;
  s.weight = weight;
  return s;
}

MethodSettings with_head(MethodSettings s) {
  s.num_classes = 5;
  return s;
}

Status apply(const std::vector<MethodSettings>& methods,
             AdaptedGraph* adapted = nullptr, Graph* graph = nullptr) {
  Graph own = tiny_model(1);
  AdaptedGraph ignored;
  Graph& g = graph == nullptr ? own : *graph;
  const Status status =
      apply_methods(g, methods, adapted == nullptr ? ignored : *adapted);
  EXPECT_TRUE(!status.ok() || verify(g).ok());
  return status;
}

TEST(Compose, EachAdapterHasItsTensorsAndNamesOfItsOwn) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  ASSERT_TRUE(apply({settings_of("lora"), settings_of("lora", 0.5),
                     settings_of("bottleneck")},
                    &adapted, &graph)
                  .ok());
  std::vector<size_t> count(3);
  for (const AdapterTensor& t : adapted.tensors) ++count.at(t.adapter);
  EXPECT_EQ(count, (std::vector<size_t>{6, 6, 4}));
  std::vector<std::string> names;
  for (ValueId v = 0; v < graph.num_values(); ++v)
    if (graph.value(v).kind == ValueKind::kParam)
      names.push_back(graph.value(v).name);
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

TEST(Compose, WeightZeroLeavesTheGraphAsItIs) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  ASSERT_TRUE(
      apply({settings_of("head", 0), settings_of("lora", 0)}, &adapted, &graph)
          .ok());
  EXPECT_TRUE(adapted.tensors.empty());
  EXPECT_EQ(graph.num_nodes(), tiny_model(1).num_nodes());
}

TEST(Compose, RefusesWhatReplacesAnotherAdaptersPartByName) {
  struct Refusal {
    std::vector<MethodSettings> methods;
    const char* word;
  };
  const Refusal refusals[] = {
      {{with_head(settings_of("lora")), with_head(settings_of("lora"))},
       "base_model.model.fc.weight' of adapter 1"},
      {{settings_of("lora"), settings_of("head")}, "fc.lora_A"},
      {{settings_of("bitfit"), settings_of("bitfit")}, "block/conv.bias"},
      {{settings_of("bitfit"), settings_of("full")}, "block/conv.bias"},
      {{settings_of("head", 0.5)}, "no weight but 0 and 1"},
      {{settings_of("lora"), settings_of("full", 2)}, "adapter 2 (full)"},
      {{settings_of("lora"), settings_of("full")}, "trains as a whole"},
  };
  for (const Refusal& r : refusals) {
    const Status status = apply(r.methods);
    EXPECT_EQ(status.code(), Code::kUsage) << r.word;
    EXPECT_NE(status.message().find(r.word), std::string::npos)
        << status.message();
  }
}

TEST(Compose, OneAdapterMayHaveTheHead) {
  MethodSettings convolutions = settings_of("lora");
  convolutions.target_modules = {"block/*"};
  EXPECT_TRUE(apply({with_head(settings_of("lora")), convolutions}).ok());
  EXPECT_TRUE(apply({convolutions, settings_of("head")}).ok());
}

// The nodes on the way from the output back to the input, along input 0.
std::vector<std::string> backbone(const Graph& graph) {
  std::vector<std::string> names;
  NodeId n = graph.value(graph.outputs[0]).producer;
  while (n != kNone) {
    names.push_back(graph.node(n).name);
    n = graph.value(graph.node(n).inputs[0]).producer;
  }
  std::ranges::reverse(names);
  return names;
}

TEST(Compose, ASecondBottleneckTakesWhatTheFirstGives) {
  for (const char* second : {"houlsby", "pfeiffer"}) {
    Graph graph = tiny_model(1);
    MethodSettings a = settings_of("bottleneck"), b = a;
    a.target_modules = {"conv"};
    b.target_modules = {"conv"};
    b.own["variant"] = second;
    ASSERT_TRUE(apply({a, b}, nullptr, &graph).ok());
    EXPECT_EQ(backbone(graph),
              (std::vector<std::string>{"block/conv", "block/conv/adapter_sum",
                                        "adapter2/block/conv/adapter_sum",
                                        "block/dw", "pool", "fc", "softmax"}))
        << second;
  }
}

TEST(Compose, MergesOneAfterTheOther) {
  const Graph base = tiny_model(1);
  const std::vector<float> a(2 * 4, 1), b(3 * 2, 1);
  const TensorMap lora = {{peft_key("fc", "lora_A.weight"), a},
                          {peft_key("fc", "lora_B.weight"), b}};
  const TensorMap biases = {{peft_key("fc", "bias"), {7, 8, 9}}};
  const std::vector<AdapterPart> parts = {{settings_of("lora"), lora},
                                          {settings_of("bitfit"), biases},
                                          {settings_of("lora", 0.25), lora},
                                          {settings_of("lora", 0), lora}};
  const auto merged = merge_adapters(base, parts);
  ASSERT_TRUE(merged.ok()) << merged.status().message();
  ASSERT_EQ(merged->size(), 1u);
  const auto before =
      data_of<float>(base.value(base.node(base.num_nodes() - 2).inputs[1]));
  for (size_t i = 0; i < before.size(); ++i)  // scaling 2, rank 2: 4 of each
    EXPECT_NEAR((*merged)[0].weight[i] - before[i], 4 * 1.25, 1e-5);
  EXPECT_EQ((*merged)[0].bias, (std::vector<float>{7, 8, 9}));
}

}  // namespace
}  // namespace ft
