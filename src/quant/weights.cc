#include "quant/weights.h"

#include <algorithm>
#include <cmath>

#include "ir/real_values.h"

namespace ft {

QuantizedWeights quantize_weights(std::span<const float> real,
                                  const Shape& shape, bool per_channel,
                                  int quantized_dimension) {
  QuantizedWeights out;
  const size_t channels =
      per_channel ? static_cast<size_t>(shape[quantized_dimension]) : 1;
  // A layout of one channel is per-tensor as far as channel_of() goes.
  out.quant.quantized_dimension = per_channel ? quantized_dimension : 0;
  out.quant.scale.assign(channels, 0.0f);
  out.quant.zero_point.assign(channels, 0);
  const TensorType type{
      .dtype = DType::kS8, .shape = shape, .quant = out.quant};
  const auto channel = [&](size_t i) {
    return channel_of(type, static_cast<int64_t>(i));
  };
  for (size_t i = 0; i < real.size(); ++i) {
    float& most = out.quant.scale[channel(i)];
    most = std::max(most, std::abs(real[i]));
  }
  for (float& scale : out.quant.scale)
    scale = scale > 0 ? scale / 127.0f : 1.0f;
  out.q.resize(real.size());
  for (size_t i = 0; i < real.size(); ++i)
    out.q[i] = static_cast<int8_t>(std::clamp(
        std::round(real[i] / out.quant.scale[channel(i)]), -127.0f, 127.0f));
  return out;
}

std::vector<int32_t> quantize_bias(std::span<const float> bias, float x_scale,
                                   std::span<const float> w_scale) {
  std::vector<int32_t> q(bias.size());
  for (size_t i = 0; i < bias.size(); ++i) {
    const double scale =
        static_cast<double>(x_scale) * w_scale[w_scale.size() == 1 ? 0 : i];
    q[i] = static_cast<int32_t>(
        std::clamp(std::round(bias[i] / scale), -2147483648.0, 2147483647.0));
  }
  return q;
}

QuantParams activation_quantizer(float low, float high) {
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  if (high - low < 1e-6f) high = low + 1e-6f;
  const float scale = (high - low) / 255.0f;
  const auto zero_point = static_cast<int32_t>(
      std::clamp(std::round(-128.0f - low / scale), -128.0f, 127.0f));
  return QuantParams::per_tensor(scale, zero_point);
}

}  // namespace ft
