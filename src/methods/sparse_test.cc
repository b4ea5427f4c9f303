// Masks and what is refused; sums and gradients are compared with PyTorch in
// tests/python/test_sparse.py.
#include "methods/sparse.h"

#include <gtest/gtest.h>

#include <cmath>

#include "methods/tiny_model.h"
#include "ops/verify.h"

namespace ft {
namespace {

MethodSettings settings_of(const char* density, const char* granularity) {
  MethodSettings s;
  s.method = "sparse";
  s.own = {{"density", density}, {"granularity", granularity}};
  return s;
}

Status apply(const MethodSettings& s, AdaptedGraph& adapted) {
  Graph graph = tiny_model(1);
  const Status status = find_method("sparse").value()->apply(graph, s, adapted);
  EXPECT_TRUE(!status.ok() || verify(graph).ok());
  return status;
}

TEST(SparseMask, KeepsTheLargestOfEachLayer) {
  const AdaptableModule m = adaptable_modules(tiny_model(1))[2];  // fc [3, 4]
  const std::vector<float> scores = {0, 9, 1, 1, 5, 5, 5, 0, 2, 2, 2, 3};
  EXPECT_EQ(sparse_mask(settings_of("0.25", "entry"), m, scores),
            (std::vector<float>{1, 4, 5}));
  EXPECT_EQ(sparse_mask(settings_of("0.5", "channel"), m, scores),
            (std::vector<float>{0, 1}));
  EXPECT_EQ(sparse_mask(settings_of("1e-6", "entry"), m, scores),
            (std::vector<float>{1}));
}

TEST(Sparse, HasValuesForWhatItKeepsOnly) {
  AdaptedGraph adapted;
  ASSERT_TRUE(apply(settings_of("0.1", "entry"), adapted).ok());
  ASSERT_EQ(adapted.tensors.size(), 6u);  // 72, 36 and 12 weights
  const int64_t kept[] = {8, 4, 2};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(adapted.tensors[2 * i].file_shape(), (Shape{kept[i]}));
    EXPECT_EQ(adapted.tensors[2 * i + 1].file_shape(), (Shape{kept[i]}));
    EXPECT_FALSE(adapted.tensors[2 * i + 1].trainable);
  }
  AdaptedGraph channels;
  ASSERT_TRUE(apply(settings_of("0.5", "channel"), channels).ok());
  EXPECT_EQ(channels.tensors[0].file_shape(), (Shape{2, 2, 3, 3}));
  EXPECT_EQ(channels.tensors[2].file_shape(), (Shape{2, 1, 3, 3}));
  EXPECT_EQ(channels.tensors[4].file_shape(), (Shape{2, 4}));
}

TEST(Sparse, RefusesMasksThatDoNotFit) {
  for (const std::vector<float>& mask :
       std::vector<std::vector<float>>{{12}, {-1}, {0.5}, {3, 3}, {NAN}, {}}) {
    MethodSettings s = settings_of("0.1", "entry");
    s.target_modules = {"fc"};
    s.masks["fc"] = mask;
    AdaptedGraph adapted;
    const Status status = apply(s, adapted);
    EXPECT_EQ(status.code(), Code::kInvalidInput);
    EXPECT_NE(status.message().find("sparse_index of 'fc'"), std::string::npos);
  }
}

TEST(Sparse, AGradientMaskNeedsData) {
  MethodSettings s = settings_of("0.1", "entry");
  s.own["mask"] = "gradient";
  AdaptedGraph adapted;
  const Status status = apply(s, adapted);
  EXPECT_EQ(status.code(), Code::kUsage);
  EXPECT_NE(status.message().find("train"), std::string::npos);
}

}  // namespace
}  // namespace ft
