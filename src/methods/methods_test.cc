#include <gtest/gtest.h>

#include "methods/method.h"
#include "methods/tiny_model.h"
#include "ops/verify.h"

namespace ft {
namespace {

MethodSettings lora(int r) {
  MethodSettings s;
  s.r = r;
  s.lora_alpha = 2.0 * r;
  return s;
}

TEST(Modules, AreFoundWithTheirMatrices) {
  const Graph graph = tiny_model(1);
  const auto modules = adaptable_modules(graph);
  ASSERT_EQ(modules.size(), 3u);
  EXPECT_EQ(modules[0].name, "block/conv");
  EXPECT_EQ(modules[0].rows, 4);
  EXPECT_EQ(modules[0].columns, 18);
  EXPECT_EQ(modules[1].kind, "depthwise_conv2d");
  EXPECT_EQ(modules[1].max_rank(), 4);
  EXPECT_EQ(modules[2].max_rank(), 3);
}

TEST(Modules, MatchWholeNamesLastPartsAndPatterns) {
  EXPECT_TRUE(matches_module("block/conv", "block/conv"));
  EXPECT_TRUE(matches_module("conv", "block/conv"));
  EXPECT_TRUE(matches_module("block/*", "block/conv"));
  EXPECT_TRUE(matches_module("all-linear", "fc"));
  EXPECT_FALSE(matches_module("onv", "block/conv"));
  EXPECT_FALSE(matches_module("conv", "block/conv_1"));
}

TEST(Modules, ATargetThatMatchesNothingListsWhatExists) {
  MethodSettings s = lora(2);
  s.target_modules = {"conv", "attention"};
  const auto selected = select_modules(tiny_model(1), s);
  ASSERT_FALSE(selected.ok());
  EXPECT_EQ(selected.status().code(), Code::kUsage);
  EXPECT_NE(selected.status().message().find("'attention'"), std::string::npos);
  EXPECT_NE(selected.status().message().find("block/dw"), std::string::npos);
}

TEST(Lora, TensorsHavePeftNamesAndShapes) {
  Graph graph = tiny_model(1);
  MethodSettings s = lora(2);
  s.rank_pattern = {{"fc", 3}};
  AdaptedGraph adapted;
  const Status status = find_method("lora").value()->apply(graph, s, adapted);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(verify(graph).ok());
  std::map<std::string, Shape> shapes;
  for (const AdapterTensor& t : adapted.tensors)
    shapes[t.name] = t.file_shape();
  const std::string prefix = "base_model.model.";
  EXPECT_EQ(shapes[prefix + "block/conv.lora_A.weight"], (Shape{2, 2, 3, 3}));
  EXPECT_EQ(shapes[prefix + "block/conv.lora_B.weight"], (Shape{4, 2, 1, 1}));
  EXPECT_EQ(shapes[prefix + "block/dw.lora_A.weight"], (Shape{2, 1, 3, 3}));
  EXPECT_EQ(shapes[prefix + "block/dw.lora_B.weight"], (Shape{4, 2, 1, 1}));
  EXPECT_EQ(shapes[prefix + "fc.lora_A.weight"], (Shape{3, 4}));
  EXPECT_EQ(shapes[prefix + "fc.lora_B.weight"], (Shape{3, 3}));
}

TEST(Lora, ARankAboveTheLayersIsRefusedWithTheWayOut) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  MethodSettings s = lora(4);
  s.target_modules = {"fc"};
  const Status status = find_method("lora").value()->apply(graph, s, adapted);
  EXPECT_EQ(status.code(), Code::kUsage);
  EXPECT_NE(status.message().find("fc=3"), std::string::npos);
}

TEST(Lora, ByDefaultALayerGetsAtMostTheRankItCanHave) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  ASSERT_TRUE(find_method("lora").value()->apply(graph, lora(4), adapted).ok());
  std::map<std::string, Shape> shapes;
  for (const AdapterTensor& t : adapted.tensors)
    shapes[t.name] = t.file_shape();
  EXPECT_EQ(shapes["base_model.model.fc.lora_B.weight"], (Shape{3, 3}));
  EXPECT_EQ(shapes["base_model.model.block/conv.lora_B.weight"],
            (Shape{4, 4, 1, 1}));
}

TEST(Head, ReplacesTheLastLayerAndWhatFollows) {
  Graph graph = tiny_model(2);
  MethodSettings s;
  s.method = "head";
  s.num_classes = 7;
  AdaptedGraph adapted;
  ASSERT_TRUE(find_method("head").value()->apply(graph, s, adapted).ok());
  EXPECT_TRUE(verify(graph).ok());
  EXPECT_EQ(graph.value(graph.outputs[0]).type.shape, (Shape{2, 7}));
  ASSERT_EQ(adapted.tensors.size(), 2u);
  EXPECT_EQ(adapted.tensors[0].name, "base_model.model.fc.weight");
  EXPECT_EQ(graph.node(adapted.head).name, "fc");
}

TEST(Full, MakesEveryWeightAndBiasTrainable) {
  Graph graph = tiny_model(1);
  MethodSettings s;
  s.method = "full";
  AdaptedGraph adapted;
  ASSERT_TRUE(find_method("full").value()->apply(graph, s, adapted).ok());
  EXPECT_EQ(adapted.tensors.size(), 6u);
  for (const AdapterTensor& t : adapted.tensors)
    EXPECT_EQ(graph.value(t.param).kind, ValueKind::kParam);
}

TEST(Methods, AnUnknownOneListsThoseThatExist) {
  const auto method = find_method("magic");
  ASSERT_FALSE(method.ok());
  EXPECT_NE(method.status().message().find("lora"), std::string::npos);
}

TEST(Metadata, RoundTripsEverySetting) {
  MethodSettings s = lora(3);
  s.target_modules = {"conv", "f*"};
  s.rank_pattern = {{"conv", 1}, {"*", 2}};
  s.alpha_pattern = {{"fc", 0.5}};
  s.num_classes = 9;
  s.seed = 0xFFFFFFFFFFFFFFFF;
  const auto back = settings_from_metadata(to_metadata(s));
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(to_metadata(*back), to_metadata(s));
  EXPECT_EQ(back->seed, s.seed);
}

TEST(Metadata, RefusesMalformedSettings) {
  auto metadata = to_metadata(lora(2));
  metadata["r"] = "two";
  EXPECT_FALSE(settings_from_metadata(metadata).ok());
  metadata = to_metadata(lora(2));
  metadata["rank_pattern"] = "[[1,2]]";
  EXPECT_FALSE(settings_from_metadata(metadata).ok());
}

constexpr SettingDef kInt{
    "reduction_factor", SettingDef::Kind::kInt, "", "4", 1, 64};
constexpr SettingDef kWord{
    "non_linearity", SettingDef::Kind::kWord, "", "relu", 0, 0, "relu gelu"};

TEST(Settings, AreKeptInOneSpellingOrRefusedWithWhatIsAllowed) {
  EXPECT_EQ(kInt.canonical("08").value(), "8");
  EXPECT_EQ(kWord.canonical("gelu").value(), "gelu");
  for (const char* text : {"0", "65", "2.5", "two", ""})
    EXPECT_EQ(kInt.canonical(text).status().code(), Code::kUsage) << text;
  EXPECT_NE(kWord.canonical("tanh").status().message().find("relu, gelu"),
            std::string::npos);
}

TEST(Settings, FallBackToThePreset) {
  MethodSettings s;
  EXPECT_EQ(s.integer(kInt), 4);
  s.own["reduction_factor"] = "16";
  EXPECT_EQ(s.integer(kInt), 16);
  EXPECT_EQ(s.word(kWord), "relu");
}

TEST(Settings, OfAnotherMethodAreRefusedByName) {
  MethodSettings s;
  const Status status =
      set_setting(*find_method("head").value(), "use_dora", "true", s);
  EXPECT_EQ(status.code(), Code::kUsage);
  EXPECT_NE(status.message().find("'use_dora'"), std::string::npos);
}

TEST(FileLayout, PermutesThereAndBack) {
  const AdapterTensor t{.name = {}, .view = {2, 3, 4, 5}, .perm = {0, 3, 1, 2}};
  std::vector<float> param(120);
  for (size_t i = 0; i < param.size(); ++i) param[i] = static_cast<float>(i);
  const auto file = to_file_layout(t, param);
  EXPECT_EQ(t.file_shape(), (Shape{2, 5, 3, 4}));
  // [1, 2, 0, 3] of the file is [1, 0, 3, 2] of the parameter.
  EXPECT_EQ(file[((1 * 5 + 2) * 3 + 0) * 4 + 3],
            param[((1 * 3 + 0) * 4 + 3) * 5 + 2]);
  EXPECT_EQ(from_file_layout(t, file), param);
}

}  // namespace
}  // namespace ft
