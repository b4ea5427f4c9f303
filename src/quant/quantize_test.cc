#include "quant/quantize.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "kernels/bfp_fake_quantize/bfp_fake_quantize.h"

namespace ft {
namespace {

std::vector<float> example(const Shape& shape) {
  const Random random(11, "quantize");
  std::vector<float> values(static_cast<size_t>(shape.num_elements()));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = random.normal(i) * (i % 7 == 0 ? 3.0f : 0.2f) + 0.1f;
  return values;
}

Quantizer quantizer(const char* text) { return parse_quantizer(text).value(); }

TEST(Quantizer, TextRoundTrips) {
  for (const char* text :
       {"float32", "float16", "bfloat16", "int8/channel", "int4/block32",
        "int2/asymmetric/tensor", "int16/asymmetric/block7"})
    EXPECT_EQ(quantizer(text).to_string(), text);
  for (const char* text :
       {"int9", "int1", "int", "int8x/channel", "int8/blocks", "int8/block0",
        "int8/channel/x", "uint8", ""})
    EXPECT_FALSE(parse_quantizer(text).ok()) << text;
}

TEST(Quantizer, GroupsAreTheShorterOfTwoAxesOrConsecutiveValues) {
  EXPECT_EQ(groups_of(quantizer("int8/channel"), {64, 4}).groups, 4);
  EXPECT_EQ(groups_of(quantizer("int8/channel"), {4, 64, 3, 3}).groups, 4);
  EXPECT_EQ(groups_of(quantizer("int8/channel"), {4, 64, 3, 3}).row, 576);
  EXPECT_EQ(groups_of(quantizer("int8/tensor"), {4, 64}).groups, 1);
  const QuantGroups blocks = groups_of(quantizer("int4/block4"), {3, 10});
  EXPECT_EQ(blocks.groups, 8);
  EXPECT_EQ(blocks.group_of(11), 2);
  EXPECT_EQ(blocks.group_of(29), 7);
}

TEST(QuantizedValues, AreWithinHalfAStepAndKeepZero) {
  const Shape shape{6, 5, 3};
  std::vector<float> values = example(shape);
  values[4] = 0;
  for (const char* text :
       {"int8/channel", "int8/asymmetric/tensor", "int4/block4",
        "int3/asymmetric/block32", "int16/channel"}) {
    const Quantizer q = quantizer(text);
    const Steps steps = minmax_steps(q, shape, values);
    const auto stored = quantized_values(q, shape, values, steps);
    const QuantGroups groups = groups_of(q, shape);
    EXPECT_EQ(stored[4], 0.0f) << text;
    for (size_t i = 0; i < values.size(); ++i) {
      const auto g =
          static_cast<size_t>(groups.group_of(static_cast<int64_t>(i)));
      // The zero point is rounded too: at the ends that is one half more.
      const float most = q.symmetric ? 0.501f : 1.001f;
      ASSERT_LE(std::fabs(stored[i] - values[i]), most * steps.scale[g])
          << text << " " << i;
    }
  }
}

TEST(QuantizedValues, StayTheSameWhenQuantizedAgain) {
  const Shape shape{40, 25};
  const std::vector<float> values = example(shape);
  for (const char* text : {"int8/channel", "int8/tensor", "int4/block32",
                           "int2/channel", "float16", "bfloat16"}) {
    const Quantizer q = quantizer(text);
    const auto steps_of = [&](const std::vector<float>& v) {
      return q.is_integer() ? minmax_steps(q, shape, v) : Steps{};
    };
    const auto once = quantized_values(q, shape, values, steps_of(values));
    EXPECT_EQ(quantized_values(q, shape, once, steps_of(once)), once) << text;
    EXPECT_EQ(steps_of(once).scale, steps_of(values).scale) << text;
  }
}

// What an integer step computed with is what the file will hold.
TEST(PowerOfTwoSteps, AreThoseOfIntegerTraining) {
  const Shape shape{12, 35};
  const Random random(7, "mantissas");
  for (const char* text : {"int8/channel", "int8/tensor", "int4/block32",
                           "int2/channel", "int16/channel"}) {
    const Quantizer q = quantizer(text);
    const QuantGroups g = groups_of(q, shape);
    std::vector<int16_t> x(420), y(420);
    std::vector<float> real;
    for (size_t i = 0; i < x.size(); ++i) {
      // Rows of all sizes, the first of zeros.
      x[i] = static_cast<int16_t>(
          (static_cast<int>(random.below(i, 65535)) - 32767) *
              static_cast<int>(i / 35) / 11 >>
          (i / 35 % 8 * 2));
      real.push_back(std::ldexp(static_cast<float>(x[i]), -20));
    }
    std::vector<int32_t> scratch(static_cast<size_t>(g.groups));
    int32_t exponent = -20, y_exponent = 0;
    const ft_fake_quantize_params p{.count = 420,
                                    .row = static_cast<int32_t>(g.row),
                                    .block = static_cast<int32_t>(g.block),
                                    .groups = static_cast<int32_t>(g.groups),
                                    .qmin = q.qmin(),
                                    .qmax = q.qmax(),
                                    .symmetric = 1,
                                    .grad_scale = 1};
    void* const in[] = {x.data(), &exponent};
    void* const out[] = {y.data(), &y_exponent};
    const ft_args args{.in = in,
                       .aux = nullptr,
                       .out = out,
                       .scratch = scratch.data(),
                       .part = nullptr};
    ft_bfp_fake_quantize_c99(&p, &args);
    const Steps steps = power_of_two_steps(q, shape, real);
    const auto stored = quantized_values(q, shape, real, steps);
    for (size_t i = 0; i < x.size(); ++i)
      ASSERT_EQ(stored[i], std::ldexp(y[i], y_exponent)) << text << " " << i;
    EXPECT_EQ(power_of_two_steps(q, shape, stored).scale, steps.scale);
  }
}

}  // namespace
}  // namespace ft
