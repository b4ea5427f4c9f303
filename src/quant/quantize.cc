#include "quant/quantize.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "kernels/fake_quantize/fake_quantize.h"

namespace ft {
namespace {

// Kernels take pointers to what they do not write, too.
void* in(std::span<const float> values) {
  return values.empty() ? nullptr : const_cast<float*>(values.data());
}

ft_fake_quantize_params params_of(const Quantizer& quantizer,
                                  const Shape& shape) {
  const QuantGroups g = groups_of(quantizer, shape);
  return {.count = static_cast<int32_t>(shape.num_elements()),
          .row = static_cast<int32_t>(g.row),
          .block = static_cast<int32_t>(g.block),
          .groups = static_cast<int32_t>(g.groups),
          .qmin = quantizer.qmin(),
          .qmax = quantizer.qmax(),
          .symmetric = quantizer.symmetric,
          .grad_scale = 1};
}

void call(ft_kernel_fn kernel, const void* params,
          std::initializer_list<void*> inputs,
          std::initializer_list<void*> outputs) {
  const ft_args args{.in = inputs.begin(),
                     .aux = nullptr,
                     .out = outputs.begin(),
                     .scratch = nullptr,
                     .part = nullptr};
  kernel(params, &args);
}

std::vector<float> rounded(const Quantizer& quantizer,
                           std::span<const float> values) {
  const ft_round_float_params p{
      .count = static_cast<int32_t>(values.size()),
      .format = quantizer.format == Quantizer::Format::kF16
                    ? FT_ROUND_FLOAT16
                    : FT_ROUND_BFLOAT16};
  std::vector<float> y(values.size());
  call(&ft_round_float_f32_c99, &p, {in(values)}, {y.data()});
  return y;
}

}  // namespace

Steps minmax_steps(const Quantizer& quantizer, const Shape& shape,
                   std::span<const float> values,
                   std::span<const float> log_ratio,
                   std::span<const float> shift) {
  const ft_fake_quantize_params p = params_of(quantizer, shape);
  const auto groups = static_cast<size_t>(p.groups);
  Steps steps{.scale = std::vector<float>(groups), .zero_point = {}};
  std::vector<float> zero(groups);
  call(&ft_minmax_quantizer_f32_c99, &p, {in(values), in(log_ratio), in(shift)},
       {steps.scale.data(), zero.data()});
  if (quantizer.symmetric) return steps;
  // Halves to even, as the kernel has it.
  for (const float z : zero)
    steps.zero_point.push_back(static_cast<int32_t>(
        std::clamp(std::nearbyint(z), static_cast<float>(p.qmin),
                   static_cast<float>(p.qmax))));
  return steps;
}

Steps power_of_two_steps(const Quantizer& quantizer, const Shape& shape,
                         std::span<const float> values) {
  const QuantGroups groups = groups_of(quantizer, shape);
  std::vector<float> most(static_cast<size_t>(groups.groups), 0.0f);
  for (size_t i = 0; i < values.size(); ++i) {
    float& m =
        most[static_cast<size_t>(groups.group_of(static_cast<int64_t>(i)))];
    m = std::max(m, std::abs(values[i]));
  }
  Steps steps;
  const auto qmax = static_cast<float>(quantizer.qmax());
  for (const float m : most) {
    int exponent = 0;
    // m < 2^exponent; one step less than qmax needs is tried first.
    std::frexp(m, &exponent);
    exponent -= quantizer.bits;
    while (m > 0 && std::nearbyint(std::ldexp(m, -exponent)) > qmax) ++exponent;
    steps.scale.push_back(m > 0 ? std::ldexp(1.0f, exponent) : 1.0f);
  }
  return steps;
}

std::vector<float> quantized_values(const Quantizer& quantizer,
                                    const Shape& shape,
                                    std::span<const float> values,
                                    const Steps& steps) {
  if (quantizer.format == Quantizer::Format::kF32)
    return {values.begin(), values.end()};
  if (!quantizer.is_integer()) return rounded(quantizer, values);
  const ft_fake_quantize_params p = params_of(quantizer, shape);
  const std::vector<float> zero(steps.zero_point.begin(),
                                steps.zero_point.end());
  std::vector<float> y(values.size());
  call(&ft_fake_quantize_f32_c99, &p, {in(values), in(steps.scale), in(zero)},
       {y.data()});
  return y;
}

}  // namespace ft
