#include <gtest/gtest.h>

#include "methods/method.h"
#include "methods/tiny_model.h"
#include "ops/verify.h"

namespace ft {
namespace {

const MethodDef& adalora() { return *find_method("adalora").value(); }

MethodSettings settings(int r) {
  MethodSettings s;
  s.method = "adalora";
  s.r = r;
  s.lora_alpha = 2.0 * r;
  s.own["total_step"] = "20";
  return s;
}

TEST(Adalora, HasPeftsNamesAndShapesAndAllTriplets) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  MethodSettings s = settings(4);
  s.own["target_r"] = "2";
  const Status status = adalora().apply(graph, s, adapted);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(verify(graph).ok());
  std::map<std::string, Shape> shapes;
  for (const AdapterTensor& t : adapted.tensors)
    shapes[t.name] = t.file_shape();
  EXPECT_EQ(shapes["base_model.model.block/conv.lora_A"], (Shape{4, 18}));
  EXPECT_EQ(shapes["base_model.model.block/conv.lora_B"], (Shape{4, 4}));
  EXPECT_EQ(shapes["base_model.model.block/conv.lora_E"], (Shape{4, 1}));
  EXPECT_EQ(shapes["base_model.model.fc.lora_A"], (Shape{3, 4}));
  EXPECT_EQ(adapted.ranks.triplets.size(), 3u);
  EXPECT_EQ(adapted.ranks.schedule.get_int("target"), 6);
  EXPECT_NE(adapted.penalty, kNone);
}

TEST(Adalora, WithoutWeightThereIsNoPenalty) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  MethodSettings s = settings(8);
  s.own["orth_reg_weight"] = "0";
  ASSERT_TRUE(adalora().apply(graph, s, adapted).ok());
  EXPECT_EQ(adapted.penalty, kNone);
}

TEST(Adalora, AScheduleWithoutAllocationIsRefused) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  MethodSettings s = settings(8);
  s.own["tinit"] = "15";
  s.own["tfinal"] = "5";
  EXPECT_EQ(adalora().apply(graph, s, adapted).code(), Code::kUsage);
  s = settings(7);  // below target_r's 8
  EXPECT_NE(adalora().apply(graph, s, adapted).message().find("target_r 8"),
            std::string::npos);
}

TEST(Adalora, ItsResultIsThereAfterTheLastAllocation) {
  MethodSettings s = settings(8);
  s.own["tfinal"] = "6";
  EXPECT_EQ(adalora().first_result(s), 14);
  EXPECT_EQ(adalora().total_updates->name, "total_step");
}

}  // namespace
}  // namespace ft
