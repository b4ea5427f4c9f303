#include "ir/real_values.h"

namespace ft {
namespace {

template <class T>
std::vector<float> dequantize(const Value& value) {
  const auto data = data_of<T>(value);
  const QuantParams& quant = value.type.quant;
  std::vector<float> real(data.size());
  for (size_t i = 0; i < data.size(); ++i) {
    if (quant.empty()) {
      real[i] = static_cast<float>(data[i]);
      continue;
    }
    const size_t c = channel_of(value.type, static_cast<int64_t>(i));
    // In double: a bias of 2^24 and more keeps its low bits until the product.
    real[i] = static_cast<float>(
        static_cast<double>(quant.scale[c]) *
        (static_cast<double>(data[i]) - quant.zero_point[c]));
  }
  return real;
}

}  // namespace

size_t channel_of(const TensorType& type, int64_t index) {
  if (!type.quant.is_per_channel()) return 0;
  int64_t inner = 1;
  for (int d = type.quant.quantized_dimension + 1; d < type.shape.rank(); ++d)
    inner *= type.shape[d];
  return static_cast<size_t>(index / inner) % type.quant.scale.size();
}

std::vector<float> real_values(const Value& value) {
  switch (value.type.dtype) {
    case DType::kS8: return dequantize<int8_t>(value);
    case DType::kS32: return dequantize<int32_t>(value);
    default: break;
  }
  FT_CHECK(value.type.dtype == DType::kF32);
  const auto data = data_of<float>(value);
  return {data.begin(), data.end()};
}

}  // namespace ft
