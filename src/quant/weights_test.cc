#include "quant/weights.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace ft {
namespace {

TEST(QuantizeWeights, ErrorIsAtMostHalfAStepInEveryChannel) {
  const Shape shape{5, 3, 2, 4};
  const Random random(3, "weights");
  std::vector<float> real(static_cast<size_t>(shape.num_elements()));
  for (size_t i = 0; i < real.size(); ++i)
    real[i] = random.normal(i) * static_cast<float>(1 + i / 24);
  for (const int dim : {0, 3}) {
    const auto w = quantize_weights(real, shape, true, dim);
    ASSERT_EQ(w.quant.scale.size(), static_cast<size_t>(shape[dim]));
    for (size_t i = 0; i < real.size(); ++i) {
      const size_t c = dim == 0 ? i / 24 : i % 4;
      const float scale = w.quant.scale[c];
      EXPECT_LE(std::abs(real[i] - scale * w.q[i]), 0.5001f * scale);
    }
  }
}

TEST(QuantizeWeights, PerTensorUsesOneScaleAndZeroChannelsAreHarmless) {
  const std::vector<float> real = {0, 0, 1, -2};
  const auto tensor = quantize_weights(real, {2, 2}, false, 0);
  EXPECT_EQ(tensor.quant.scale, (std::vector<float>{2.0f / 127}));
  EXPECT_EQ(tensor.q[3], -127);
  const auto channel = quantize_weights(real, {2, 2}, true, 0);
  EXPECT_EQ(channel.quant.scale[0], 1.0f);
  EXPECT_EQ(channel.q[0], 0);
}

TEST(QuantizeBias, SaturatesInsteadOfWrapping) {
  const std::vector<float> bias = {1.0f, -1e30f, 1e30f};
  const std::vector<float> w_scale = {0.5f};
  const auto q = quantize_bias(bias, 0.1f, w_scale);
  EXPECT_EQ(q[0], 20);
  EXPECT_EQ(q[1], INT32_MIN);
  EXPECT_EQ(q[2], INT32_MAX);
}

TEST(ActivationQuantizer, HoldsTheRangeAndExactlyZero) {
  for (const auto& [low, high] :
       {std::pair{-3.0f, 9.0f}, {1.0f, 2.0f}, {-2.0f, -1.0f}, {0.0f, 0.0f}}) {
    const QuantParams q = activation_quantizer(low, high);
    const auto real = [&](int v) {
      return q.scale[0] * static_cast<float>(v - q.zero_point[0]);
    };
    EXPECT_LE(real(-128), std::min(low, 0.0f) + q.scale[0]);
    EXPECT_GE(real(127), std::max(high, 0.0f) - q.scale[0]);
    EXPECT_GE(q.zero_point[0], -128);
    EXPECT_LE(q.zero_point[0], 127);
  }
}

}  // namespace
}  // namespace ft
