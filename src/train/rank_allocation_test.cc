// AdaLoRA over more layers than one concat takes: their scores are put together
// in steps, in the order of the layers.
#include "train/rank_allocation.h"

#include <gtest/gtest.h>

#include "exec/session.h"
#include "methods/tiny_model.h"
#include "train/step.h"

namespace ft {
namespace {

constexpr int kLayers = 70, kRank = 2;

Graph deep_model() {
  Graph g;
  ValueId x = g.add_input("x", f32_type({1, 3}));
  for (int i = 0; i < kLayers; ++i) {
    const std::string name = "fc" + std::to_string(i);
    x = append(g, ops::kFullyConnected,
               {x, tiny_weight(g, name + "/w", {3, 3})}, {}, {.name = name})
            .value();
  }
  g.outputs = {append(g, ops::kSoftmax, {x}, {{"beta", 1.0}}, {}).value()};
  return g;
}

// Names of what `value` is made of, through concats.
void collect(const Graph& graph, ValueId value, std::vector<std::string>& out) {
  const Node& node = graph.node(graph.value(value).producer);
  if (node.op != &ops::kConcat) return out.push_back(node.name);
  EXPECT_LE(node.inputs.size(), 64u);
  for (const ValueId input : node.inputs) collect(graph, input, out);
}

const Node* find_node(const Graph& graph, const std::string& name) {
  for (int i = 0; i < graph.num_nodes(); ++i)
    if (graph.node(i).name == name) return &graph.node(i);
  return nullptr;
}

TEST(RankAllocator, PutsTheScoresOfManyLayersTogether) {
  StepSettings settings;
  settings.method.method = "adalora";
  settings.method.r = kRank;
  settings.method.own = {{"target_r", "1"}, {"total_step", "20"}};
  const auto step = compile_training(deep_model(), settings);
  ASSERT_TRUE(step.ok()) << step.status().message();
  const Graph& graph = step->program.graph;
  const Node* mask = find_node(graph, "ranks/mask");
  ASSERT_NE(mask, nullptr);
  EXPECT_EQ(graph.value(mask->inputs[0]).type.shape, (Shape{kLayers * kRank}));
  std::vector<std::string> scores;
  collect(graph, mask->inputs[0], scores);
  ASSERT_EQ(scores.size(), static_cast<size_t>(kLayers));
  for (size_t i = 0; i < scores.size(); ++i)
    EXPECT_EQ(scores[i], "grad/fc" + std::to_string(i) + "/lora_E/score");
  auto session = Session::create(step->program);
  ASSERT_TRUE(session.ok()) << session.status().message();
}

}  // namespace
}  // namespace ft
