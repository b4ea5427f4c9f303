// Real numbers to the integers of a Quantizer and back, with the kernels that
// training simulates it by: bit for bit the values that a step saw.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ir/quantizer.h"

namespace ft {

// A step and, if not symmetric, a zero point for each group.
struct Steps {
  std::vector<float> scale;
  std::vector<int32_t> zero_point;  // empty: symmetric
};

// Steps that just hold each group's values. `log_ratio` and `shift` are what
// was learned (kernels/fake_quantize/fake_quantize.h), one a group; empty: 0.
Steps minmax_steps(const Quantizer& quantizer, const Shape& shape,
                   std::span<const float> values,
                   std::span<const float> log_ratio = {},
                   std::span<const float> shift = {});

// The smallest powers of two with which each group's values fit, halves rounded
// to even; 1 for a group of zeros. Of a symmetric quantizer of integers: what
// integer training rounds to (kernels/bfp_fake_quantize/).
Steps power_of_two_steps(const Quantizer& quantizer, const Shape& shape,
                         std::span<const float> values);

// The nearest values that can be stored: (q - zero_point) * scale, or rounded
// to float16 or bfloat16. Values beyond the last step saturate.
std::vector<float> quantized_values(const Quantizer& quantizer,
                                    const Shape& shape,
                                    std::span<const float> values,
                                    const Steps& steps);

}  // namespace ft
