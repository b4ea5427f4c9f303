// Values by hand, stability for large logits, and labels that are no class.
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace {

float loss_of(std::vector<float> logits, std::vector<int32_t> labels) {
  const auto rows = static_cast<int32_t>(labels.size());
  const ft_softmax_cross_entropy_params p{
      rows, static_cast<int32_t>(logits.size()) / rows};
  float loss = 0;
  void* in[] = {logits.data(), labels.data()};
  void* out[] = {&loss};
  const ft_args args{in, nullptr, out, nullptr, nullptr};
  ft_softmax_cross_entropy_f32_c99(&p, &args);
  return loss;
}

std::vector<float> grad_of(std::vector<float> logits,
                           std::vector<int32_t> labels, float dloss) {
  const auto rows = static_cast<int32_t>(labels.size());
  const ft_softmax_cross_entropy_params p{
      rows, static_cast<int32_t>(logits.size()) / rows};
  void* in[] = {logits.data(), labels.data(), &dloss};
  void* out[] = {logits.data()};
  const ft_args args{in, nullptr, out, nullptr, nullptr};
  ft_softmax_cross_entropy_grad_f32_c99(&p, &args);
  return logits;
}

TEST(SoftmaxCrossEntropy, OfEqualLogitsIsTheLogOfTheClasses) {
  EXPECT_NEAR(loss_of({2, 2, 2, 2, 2, 2, 2, 2}, {0, 3}), std::log(4.0), 1e-6);
}

TEST(SoftmaxCrossEntropy, IsTheMeanOverRows) {
  // -log softmax: log(1 + e) for the wrong one of {0, 1}, log(1 + 1/e) else.
  const double wrong = std::log1p(std::exp(1.0));
  const double right = std::log1p(std::exp(-1.0));
  EXPECT_NEAR(loss_of({0, 1, 0, 1}, {0, 1}), (wrong + right) / 2, 1e-6);
}

TEST(SoftmaxCrossEntropy, IsFiniteForLargeLogits) {
  EXPECT_EQ(loss_of({1e30f, -1e30f}, {0}), 0.0f);
  EXPECT_NEAR(loss_of({1000, 0}, {1}), 1000, 1e-3);
  EXPECT_EQ(grad_of({1000, 0}, {1}, 1), (std::vector<float>{1, -1}));
}

TEST(SoftmaxCrossEntropy, GradientIsProbabilityMinusTarget) {
  const std::vector<float> dx = grad_of({0, 0, 0, 0}, {2}, 2);
  EXPECT_EQ(dx, (std::vector<float>{0.5f, 0.5f, -1.5f, 0.5f}));
}

TEST(SoftmaxCrossEntropy, LabelsOutsideOfTheClassesDoNotCount) {
  const float one = loss_of({0, 0}, {0});
  EXPECT_EQ(loss_of({0, 0, 5, 1, 7, 2, 9, 9}, {0, 2, -1, INT32_MAX}), one);
  EXPECT_EQ(loss_of({0, 0, 5, 1}, {-100, 2}), 0.0f);
  const std::vector<float> dx = grad_of({0, 0, 5, 1}, {0, 2}, 1);
  EXPECT_EQ(dx, (std::vector<float>{-0.5f, 0.5f, 0, 0}));
  EXPECT_EQ(grad_of({5, 1}, {-100}, 1), (std::vector<float>{0, 0}));
}

}  // namespace
