#include "ops/depthwise_conv2d_examples.h"

#include <initializer_list>
#include <utility>

#include "kernels/kernel.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

Attrs plus(Attrs attrs,
           std::initializer_list<std::pair<const char*, int64_t>> more) {
  for (const auto& [name, value] : more) attrs.set(name, value);
  return attrs;
}

Attrs same_3x3() {
  return {{"pad_top", 1}, {"pad_left", 1}, {"pad_bottom", 1}, {"pad_right", 1}};
}

Attrs strided_2x3() {
  return {{"stride_h", 2}, {"stride_w", 3}, {"pad_left", 1}, {"pad_right", 2}};
}

std::vector<OpExample> gain_examples() {
  const Attrs same = plus(same_3x3(), {{"act", FT_ACT_RELU}});
  const auto quant = quant_of_output(0.012f, -30);
  return {
      {.inputs = {s8({1, 5, 4, 6}, 0.03f, 9), s8_per_channel({1, 3, 3, 6}, 3),
                  s32({6}), f32({1, 3, 3, 6}), f32({6}), f32({6})},
       .attrs = same,
       .out_quant = quant,
       .note = "a gain"},
      {.inputs = {f32({2, 5, 4, 3}), f32({1, 3, 3, 6}), f32({6}),
                  f32({1, 3, 3, 6}), f32({6}), f32({6})},
       .attrs = plus(same, {{"gain_bias", 1}}),
       .absent = {4},
       .note = "a gain of the bias too"},
      {.inputs = {f32({1, 5, 4, 32}), f32({1, 3, 3, 32}), f32({32}), f32({}),
                  f32({}), f32({32})},
       .attrs = plus(same, {{"gain_bias", 1}}),
       .absent = {3, 4},
       .note = "a gain of the bias too"},
      {.inputs = {f32({1, 6, 9, 19}), f32({1, 2, 3, 19}), f32({19}),
                  f32({1, 2, 3, 19}), f32({}), f32({19})},
       .attrs = strided_2x3(),
       .absent = {4},
       .note = "a gain"},
      {.inputs = {s8({1, 6, 9, 21}, 0.05f, 1), s8_per_channel({1, 2, 3, 21}, 3),
                  s32({21}), f32({1, 2, 3, 21}), f32({21}), f32({21})},
       .attrs = plus(strided_2x3(), {{"gain_bias", 1}}),
       .out_quant = quant,
       .note = "all that an adapter can add"},
      {.inputs = {s8({1, 5, 4, 64}, 0.03f, 9), s8_per_channel({1, 3, 3, 64}, 3),
                  s32({64}), f32({}), f32({64}), f32({64})},
       .attrs = same,
       .out_quant = quant,
       .absent = {3},
       .note = "a gain but of the bias"}};
}

}  // namespace

std::vector<OpExample> depthwise_conv2d_examples() {
  const Attrs same = plus(same_3x3(), {{"act", FT_ACT_RELU}});
  const auto quant = quant_of_output(0.012f, -30);
  const TensorType x8 = s8({1, 5, 4, 6}, 0.03f, 9);
  std::vector<OpExample> all{
      {.inputs = {f32({2, 5, 4, 6}), f32({1, 3, 3, 6}), f32({6})},
       .attrs = same},
      {.inputs = {f32({1, 6, 7, 35}), f32({1, 3, 3, 35}), f32({35}),
                  f32({1, 3, 3, 35})},
       .attrs = same},
      {.inputs = {f32({1, 6, 8, 3}), f32({1, 2, 3, 6})},
       .attrs = strided_2x3(),
       .note = "depth multiplier 2"},
      {.inputs = {f32({1, 6, 8, 2}), f32({1, 2, 3, 4}), f32({4}),
                  f32({1, 2, 3, 4})},
       .attrs = {{"dilation_h", 2}, {"dilation_w", 3}}},
      {.inputs = {x8, s8_per_channel({1, 3, 3, 6}, 3), s32({6})},
       .attrs = same,
       .out_quant = quant},
      {.inputs = {s8({1, 6, 7, 64}, 0.03f, -128),
                  s8_per_channel({1, 3, 3, 64}, 3), s32({64})},
       .attrs = same,
       .out_quant = quant},
      {.inputs = {x8, s8_per_channel({1, 3, 3, 6}, 3), s32({6}),
                  f32({1, 3, 3, 6})},
       .attrs = same,
       .out_quant = quant},
      {.inputs = {x8, s8_per_channel({1, 3, 3, 6}, 3), s32({6}),
                  f32({1, 3, 3, 6}), f32({6})},
       .attrs = same,
       .out_quant = quant,
       .absent = {3},
       .note = "a difference to the bias"},
      {.inputs = {s8({1, 6, 8, 3}, 0.05f, 1), s8({1, 2, 3, 6}, 0.02f, 0)},
       .attrs = strided_2x3(),
       .out_quant = quant},
      {.inputs = {s8({1, 5, 8, 8}, 0.05f, 1), s8_per_channel({1, 3, 3, 8}, 3),
                  s32({8})},
       .attrs = plus(same_3x3(), {{"stride_h", 2}, {"stride_w", 2}}),
       .out_quant = quant},
      {.inputs = {x8, f32({1, 3, 3, 6}), f32({6}), f32({1, 3, 3, 6})},
       .attrs = same}};
  for (OpExample& example : gain_examples()) all.push_back(std::move(example));
  return all;
}

std::vector<OpExample> depthwise_input_grad_examples() {
  const Attrs same = plus(same_3x3(), {{"in_h", 5}, {"in_w", 4}, {"in_c", 6}});
  const Attrs strided =
      plus(strided_2x3(), {{"in_h", 6}, {"in_w", 8}, {"in_c", 3}});
  return {
      {.inputs = {f32({2, 5, 4, 6}), f32({1, 3, 3, 6})}, .attrs = same},
      {.inputs = {f32({2, 5, 4, 6}), f32({1, 3, 3, 6}), f32({1, 3, 3, 6})},
       .attrs = same},
      {.inputs = {f32({2, 5, 4, 6}), s8_per_channel({1, 3, 3, 6}, 3)},
       .attrs = same},
      {.inputs = {f32({2, 5, 4, 6}), s8({1, 3, 3, 6}, 0.02f, 0),
                  f32({1, 3, 3, 6})},
       .attrs = same},
      {.inputs = {f32({1, 3, 3, 6}), f32({1, 2, 3, 6}), f32({1, 2, 3, 6})},
       .attrs = strided},
      {.inputs = {f32({1, 3, 3, 6}), s8_per_channel({1, 2, 3, 6}, 3)},
       .attrs = strided},
      {.inputs = {f32({1, 5, 4, 37}), f32({1, 3, 3, 37})},
       .attrs = plus(same_3x3(), {{"in_h", 5}, {"in_w", 4}, {"in_c", 37}})}};
}

std::vector<OpExample> depthwise_weight_grad_examples() {
  const Attrs same = plus(same_3x3(), {{"k_h", 3}, {"k_w", 3}});
  const Attrs strided = plus(strided_2x3(), {{"k_h", 2}, {"k_w", 3}});
  return {{.inputs = {f32({2, 5, 4, 6}), f32({2, 5, 4, 6})}, .attrs = same},
          {.inputs = {s8({2, 5, 4, 6}, 0.03f, 9), f32({2, 5, 4, 6})},
           .attrs = same},
          {.inputs = {f32({1, 6, 8, 3}), f32({1, 3, 3, 6})}, .attrs = strided},
          {.inputs = {s8({1, 6, 8, 3}, 0.03f, 9), f32({1, 3, 3, 6})},
           .attrs = strided},
          {.inputs = {f32({1, 5, 4, 37}), f32({1, 5, 4, 37})}, .attrs = same}};
}

}  // namespace ft::ops
