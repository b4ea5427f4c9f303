#include <gtest/gtest.h>

#include "ir/real_values.h"
#include "methods/method.h"
#include "methods/tiny_model.h"
#include "ops/verify.h"

namespace ft {
namespace {

const MethodDef& bitfit() { return *find_method("bitfit").value(); }

MethodSettings settings() {
  MethodSettings s;
  s.method = "bitfit";
  return s;
}

TEST(Bitfit, TrainsTheBiasesOfAFloatModelThemselves) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  ASSERT_TRUE(bitfit().apply(graph, settings(), adapted).ok());
  EXPECT_TRUE(verify(graph).ok());
  ASSERT_EQ(adapted.tensors.size(), 3u);
  EXPECT_EQ(adapted.tensors[2].name, "base_model.model.fc.bias");
  EXPECT_EQ(adapted.tensors[2].file_shape(), (Shape{3}));
  const Graph base = tiny_model(1);
  EXPECT_EQ(real_values(graph.value(adapted.tensors[2].param)),
            real_values(base.value(base.find_value("fc/b"))));
}

// conv2d and depthwise_conv2d, int8, each with a bias of {40, -20}.
Graph int8_model() {
  Graph g;
  const auto s8_type = [](Shape shape, float scale) {
    return TensorType{.dtype = DType::kS8,
                      .shape = shape,
                      .quant = QuantParams::per_tensor(scale, 0)};
  };
  const TensorType bias_type{.dtype = DType::kS32,
                             .shape = {2},
                             .quant = QuantParams::per_tensor(0.5f, 0)};
  ValueId x = g.add_input("x", s8_type({1, 3, 3, 2}, 0.5f));
  const auto layer = [&](const OpDef& op, const char* name, Shape shape) {
    const std::vector<int8_t> w(static_cast<size_t>(shape.num_elements()), 3);
    const ValueId weight =
        g.add_owned(ValueKind::kConstant, std::string(name) + "/w",
                    s8_type(shape, 1.0f), w);
    const ValueId bias =
        g.add_owned(ValueKind::kConstant, std::string(name) + "/b", bias_type,
                    std::vector<int32_t>{40, -20});
    x = append(g, op, {x, weight, bias}, {},
               {.name = name, .out_quant = {QuantParams::per_tensor(0.5f, 0)}})
            .value();
  };
  layer(ops::kConv2d, "conv", {2, 1, 1, 2});
  layer(ops::kDepthwiseConv2d, "dw", {1, 1, 1, 2});
  g.outputs = {x};
  return g;
}

TEST(Bitfit, HoldsTheDifferenceToAnInt8LayersBias) {
  Graph graph = int8_model();
  AdaptedGraph adapted;
  const Status status = bitfit().apply(graph, settings(), adapted);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(verify(graph).ok());
  ASSERT_EQ(adapted.tensors.size(), 2u);
  for (const AdapterTensor& t : adapted.tensors) {
    EXPECT_EQ(real_values(graph.value(t.param)), (std::vector<float>{0, 0}));
    const std::vector<float> file{21, -10}, difference{1, 0};
    EXPECT_EQ(to_file_layout(t, difference), file) << t.name;
    EXPECT_EQ(from_file_layout(t, file), difference) << t.name;
  }
}

TEST(Bitfit, MergesIntoTheBiasAndLeavesTheWeights) {
  const TensorMap tensors{{"base_model.model.conv.bias", {21, -10}}};
  const auto merged = bitfit().merge(int8_model(), settings(), tensors);
  ASSERT_TRUE(merged.ok());
  ASSERT_EQ(merged->size(), 1u);
  EXPECT_TRUE((*merged)[0].weight.empty());
  EXPECT_EQ((*merged)[0].bias, (std::vector<float>{21, -10}));
}

TEST(Bitfit, ANamedLayerWithoutABiasIsRefused) {
  Graph graph = tiny_model(1);
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    if (graph.node(n).name == "fc") graph.node(n).inputs.resize(2);
  MethodSettings s = settings();
  s.target_modules = {"fc"};
  AdaptedGraph adapted;
  const Status status = bitfit().apply(graph, s, adapted);
  EXPECT_EQ(status.code(), Code::kUsage);
  EXPECT_NE(status.message().find("'fc' has none"), std::string::npos);
  s.target_modules.clear();
  EXPECT_TRUE(bitfit().apply(graph, s, adapted).ok());
  EXPECT_EQ(adapted.tensors.size(), 2u);
}

// The tensors of `graph` adapted by LoRA with these settings, or the refusal.
Result<std::vector<std::string>> lora_tensors(
    Graph graph, const std::map<std::string, std::string>& own) {
  const MethodDef& lora = *find_method("lora").value();
  MethodSettings s;
  s.target_modules = {"conv", "fc"};
  if (graph.find_value("fc/w") == kNone) s.target_modules = {"conv"};
  s.r = 2;
  for (const auto& [name, text] : own)
    FT_TRY_STATUS(set_setting(lora, name, text, s));
  AdaptedGraph adapted;
  FT_TRY_STATUS(lora.apply(graph, s, adapted));
  FT_TRY_STATUS(verify(graph));
  std::vector<std::string> names;
  for (const AdapterTensor& t : adapted.tensors)
    if (t.name.ends_with(".bias")) names.push_back(t.name.substr(17));
  return names;
}

TEST(LoraBias, IsThatOfAllLayersOrOfTheAdapted) {
  using Names = std::vector<std::string>;
  const Graph graph = tiny_model(1);
  EXPECT_EQ(lora_tensors(graph.clone(), {{"bias", "none"}}).value(), Names());
  EXPECT_EQ(lora_tensors(graph.clone(), {{"bias", "lora_only"}}).value(),
            (Names{"block/conv.bias", "fc.bias"}));
  EXPECT_EQ(lora_tensors(graph.clone(), {{"bias", "all"}}).value(),
            (Names{"block/conv.bias", "block/dw.bias", "fc.bias"}));
}

TEST(LoraBias, OfALayerWithoutOneIsNothingToTrain) {
  Graph graph = tiny_model(1);
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    if (graph.node(n).name == "fc") graph.node(n).inputs.resize(2);
  EXPECT_EQ(lora_tensors(std::move(graph), {{"bias", "lora_only"}}).value(),
            std::vector<std::string>{"block/conv.bias"});
}

TEST(LoraBias, OfAnInt8LayerIsADifferenceButNotBesideDora) {
  EXPECT_EQ(lora_tensors(int8_model(), {{"bias", "all"}}).value(),
            (std::vector<std::string>{"conv.bias", "dw.bias"}));
  const Status status =
      lora_tensors(int8_model(), {{"bias", "all"}, {"use_dora", "true"}})
          .status();
  EXPECT_EQ(status.code(), Code::kUsage);
  EXPECT_NE(status.message().find("use_dora"), std::string::npos);
}

}  // namespace
}  // namespace ft
