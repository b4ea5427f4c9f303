#include <gtest/gtest.h>

#include "methods/method.h"
#include "methods/tiny_model.h"
#include "ops/verify.h"

namespace ft {
namespace {

const MethodDef& block_lora() { return *find_method("block-lora").value(); }

MethodSettings settings(const char* block, const char* density) {
  MethodSettings s;
  s.method = "block-lora";
  s.r = 2;
  s.lora_alpha = 4;
  s.own["block_size"] = block;
  s.own["block_density"] = density;
  return s;
}

TEST(BlockLora, KeepsTheBlocksWithTheLargestWeights) {
  Graph graph = tiny_model(1);
  const ValueId w = graph.find_value("fc/w");
  std::vector<float> values(12, 0.1f);
  values[2] = 3;  // of the second block of two
  graph.value(w).data = graph.own(std::as_bytes(std::span(values)));
  AdaptedGraph adapted;
  MethodSettings s = settings("2", "0.5");
  s.target_modules = {"fc"};
  const Status status = block_lora().apply(graph, s, adapted);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(verify(graph).ok());
  const auto kept =
      data_of<int32_t>(graph.value(graph.find_value("fc/kept_blocks")));
  EXPECT_EQ(std::vector<int32_t>(kept.begin(), kept.end()),
            std::vector<int32_t>{1});
  EXPECT_EQ(adapted.tensors[0].file_shape(), (Shape{2, 2}));
  EXPECT_EQ(adapted.tensors[1].file_shape(), (Shape{3, 2}));
  EXPECT_EQ(adapted.tensors[2].fixed, std::vector<float>{1});
}

TEST(BlockLora, LayersWithoutWholeBlocksAreLeftOutOrRefused) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  ASSERT_TRUE(block_lora().apply(graph, settings("4", "1"), adapted).ok());
  ASSERT_EQ(adapted.tensors.size(), 3u);  // fc has 4 inputs, block/conv 2
  EXPECT_EQ(adapted.tensors[0].name, "base_model.model.fc.lora_A.weight");
  for (const char* name : {"block/conv", "block/dw"}) {
    Graph again = tiny_model(1);
    MethodSettings s = settings("4", "1");
    s.target_modules = {name};
    const Status status = block_lora().apply(again, s, adapted);
    EXPECT_EQ(status.code(), Code::kUsage);
    EXPECT_NE(status.message().find(name), std::string::npos);
  }
}

TEST(BlockLora, ABlockSizeThatFitsNoLayerIsRefused) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  const Status status = block_lora().apply(graph, settings("64", "1"), adapted);
  EXPECT_EQ(status.code(), Code::kUsage);
  EXPECT_NE(status.message().find("64"), std::string::npos);
}

TEST(BlockLora, ARankAboveTheKeptColumnsIsRefused) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  MethodSettings s = settings("1", "0.25");
  s.target_modules = {"fc"};
  const Status status = block_lora().apply(graph, s, adapted);
  EXPECT_EQ(status.code(), Code::kUsage);
  EXPECT_NE(status.message().find("rank 2"), std::string::npos);
}

TEST(BlockLora, BlocksOfAFileAreChecked) {
  for (const std::vector<float>& bad :
       {std::vector<float>{1, 0}, {0, 0}, {2}, {-1}, {0.5f}, {}}) {
    Graph graph = tiny_model(1);
    AdaptedGraph adapted;
    MethodSettings s = settings("2", "0.5");
    s.target_modules = {"fc"};
    s.masks["fc"] = bad;
    EXPECT_EQ(block_lora().apply(graph, s, adapted).code(),
              Code::kInvalidInput);
  }
}

}  // namespace
}  // namespace ft
