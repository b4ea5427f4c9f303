#include "train/samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"

namespace ft {

// float32 holds integers up to here exactly.
constexpr float kMaxTokenId = 1 << 24;

namespace {

// std::round() and saturation to int8, without calls. What is not a number is
// the least one. In runs of one length, in buffers of their own and one step at
// a time: so much is vectorised at -O2.
constexpr size_t kRun = 64;

// x becomes x / scale, saturated far beyond int8.
void divide_run(float* x, float scale) {
  constexpr float kBeyond = 512;
  for (size_t i = 0; i < kRun; ++i) x[i] = x[i] / scale;
  for (size_t i = 0; i < kRun; ++i) x[i] = x[i] > -kBeyond ? x[i] : -kBeyond;
  for (size_t i = 0; i < kRun; ++i) x[i] = x[i] < kBeyond ? x[i] : kBeyond;
}

void round_run(const float* x, int32_t zero_point, int8_t* q) {
  int32_t whole[kRun];
  for (size_t i = 0; i < kRun; ++i) {
    const auto towards_0 = static_cast<int32_t>(x[i]);
    const float rest = x[i] - static_cast<float>(towards_0);
    whole[i] = towards_0 + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
  }
  for (size_t i = 0; i < kRun; ++i) whole[i] += zero_point;
  for (size_t i = 0; i < kRun; ++i) whole[i] = std::min(whole[i], 127);
  for (size_t i = 0; i < kRun; ++i)
    q[i] = static_cast<int8_t>(std::max(whole[i], -128));
}

void quantize_all(std::span<const float> real, float scale, int32_t zero_point,
                  int8_t* q) {
  float x[kRun] = {};
  int8_t last[kRun];
  // Copies of a constant length are not calls.
  for (; real.size() >= kRun; real = real.subspan(kRun), q += kRun) {
    std::memcpy(x, real.data(), sizeof(x));
    divide_run(x, scale);
    round_run(x, zero_point, q);
  }
  std::ranges::copy(real, x);
  divide_run(x, scale);
  round_run(x, zero_point, last);
  std::copy_n(last, real.size(), q);
}

}  // namespace

void write_features(std::span<std::byte> input, const TensorType& type,
                    size_t slot, std::span<const float> features) {
  std::byte* at = input.data() + slot * features.size() * size_of(type.dtype);
  if (type.dtype == DType::kF32) {
    std::memcpy(at, features.data(), features.size_bytes());
    return;
  }
  if (type.dtype == DType::kS32 && type.quant.empty()) {
    auto* ids = reinterpret_cast<int32_t*>(at);
    for (size_t i = 0; i < features.size(); ++i)
      ids[i] = static_cast<int32_t>(std::clamp(features[i], 0.0f, kMaxTokenId));
    return;
  }
  const float scale = type.quant.scale[0];
  const auto zero_point = static_cast<float>(type.quant.zero_point[0]);
  if (type.dtype == DType::kS32) {
    auto* wide = reinterpret_cast<int32_t*>(at);
    for (size_t i = 0; i < features.size(); ++i)
      wide[i] = static_cast<int32_t>(std::clamp(
          std::round(features[i] / scale) + zero_point, -1e9f, 1e9f));
    return;
  }
  quantize_all(features, scale, type.quant.zero_point[0],
               reinterpret_cast<int8_t*>(at));
}

void write_hyper(Session& session, const OptimizerSettings& settings,
                 int64_t step, int64_t total_steps, uint64_t seed) {
  if (session.program().inputs[kHyperInput].type.dtype == DType::kF32)
    std::ranges::copy(hyper_values(settings, step, total_steps),
                      session.input_as<float>(kHyperInput).begin());
  else
    std::ranges::copy(integer_hyper_values(settings, step, total_steps, seed),
                      session.input_as<int32_t>(kHyperInput).begin());
}

std::vector<size_t> draw_samples(std::vector<size_t> indices, size_t limit,
                                 uint64_t seed, std::string_view stream) {
  if (limit == 0 || indices.size() <= limit) return indices;
  const Random random(seed, stream);
  for (size_t i = 0; i < limit; ++i)
    std::swap(indices[i],
              indices[i + random.below(
                              i, static_cast<uint32_t>(indices.size() - i))]);
  indices.resize(limit);
  return indices;
}

Status check_samples(const Program& program, const Samples& samples) {
  const TensorType& type = program.inputs[0].type;
  if (type.dtype != DType::kF32 && type.dtype != DType::kS8 &&
      type.dtype != DType::kS32)
    return invalid_input(
        fmt::format("the model's input is {}, expected float32, int8 or int32",
                    type.to_string()));
  const int64_t batch = type.shape.rank() > 0 ? type.shape[0] : 1;
  const int64_t per_sample =
      type.shape.num_elements() / std::max<int64_t>(batch, 1);
  if (per_sample == static_cast<int64_t>(samples.feature_size))
    return ok_status();
  return invalid_input(fmt::format(
      "the data has {} values a sample, the model's input {} takes {}; choose "
      "the front end that the model was trained with (--front-end)",
      samples.feature_size, type.shape.to_string(), per_sample));
}

}  // namespace ft
