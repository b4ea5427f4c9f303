#include <gtest/gtest.h>

#include "methods/method.h"
#include "methods/tiny_model.h"
#include "ops/verify.h"

namespace ft {
namespace {

const MethodDef& vera() { return *find_method("vera").value(); }

MethodSettings settings(int r) {
  MethodSettings s;
  s.method = "vera";
  s.r = r;
  s.lora_alpha = 2.0 * r;
  return s;
}

TEST(Vera, SharesOneFrozenPairOfTheWidestSizes) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  const Status status = vera().apply(graph, settings(8), adapted);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(verify(graph).ok());
  std::map<std::string, Shape> trained, frozen;
  for (const AdapterTensor& t : adapted.tensors)
    (t.trainable ? trained : frozen)[t.name] = t.file_shape();
  EXPECT_EQ(frozen["base_model.vera_A"], (Shape{8, 18}));
  EXPECT_EQ(frozen["base_model.vera_B"], (Shape{4, 8}));
  EXPECT_EQ(trained.size(), 6u);
  EXPECT_EQ(trained["base_model.model.fc.vera_lambda_b"], (Shape{3}));
  EXPECT_EQ(trained["base_model.model.block/dw.vera_lambda_d"], (Shape{8}));
}

TEST(Vera, RefusesPatternsAndAlphaByName) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  MethodSettings s = settings(8);
  s.rank_pattern = {{"fc", 2}};
  EXPECT_NE(vera().apply(graph, s, adapted).message().find("--rank-pattern"),
            std::string::npos);
  s = settings(8);
  s.lora_alpha = 1;
  EXPECT_NE(vera().apply(graph, s, adapted).message().find("--alpha"),
            std::string::npos);
}

TEST(Vera, MergingWithoutTheSharedMatricesSaysSo) {
  const auto merged = vera().merge(tiny_model(1), settings(8), {});
  ASSERT_FALSE(merged.ok());
  EXPECT_NE(merged.status().message().find("base_model.vera_A"),
            std::string::npos);
}

}  // namespace
}  // namespace ft
