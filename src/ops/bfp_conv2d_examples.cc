#include "ops/bfp_conv2d_examples.h"

#include "ops/bfp_common.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

const TensorType kExp = exponent_type();

// Each of them once more, with an output that may lie over dy.
std::vector<OpExample> and_overwriting(std::vector<OpExample> all) {
  for (size_t i = 0, count = all.size(); i < count; ++i) {
    all.push_back(all[i]);
    all.back().attrs.set("overwrites", int64_t{1});
  }
  return all;
}

Attrs same_3x3() {
  return {{"pad_top", 1}, {"pad_bottom", 1}, {"pad_left", 1}, {"pad_right", 1}};
}

Attrs same_3x3_of_one_group() {
  Attrs same = same_3x3();
  for (const char* name : {"k_h", "k_w"}) same.set(name, int64_t{3});
  same.set("groups", int64_t{1});
  return same;
}

}  // namespace

std::vector<OpExample> bfp_conv2d_examples() {
  const Attrs strided{{"stride_h", 2}, {"pad_top", 1}, {"pad_bottom", 1}};
  return {{.inputs = {s8({2, 5, 7, 3}, 0.04f, -9), bfp_type({4, 3, 2, 3}, 1),
                      kExp, kExp, bfp_type({4}, 1.5f), kExp},
           .attrs = strided,
           .absent = {3}},
          {.inputs = {bfp_type({1, 6, 6, 4}, 1.2f),
                      bfp_type({6, 3, 3, 2}, 1.9f), kExp, kExp},
           .attrs = {{"dilation_h", 2}, {"dilation_w", 2}},
           .note = "two groups"}};
}

std::vector<OpExample> bfp_conv2d_input_grad_examples() {
  const Attrs strided{{"in_h", 5},     {"in_w", 7},    {"groups", 1},
                      {"stride_h", 2}, {"pad_top", 1}, {"pad_bottom", 1}};
  const Attrs grouped{{"in_h", 6},
                      {"in_w", 6},
                      {"groups", 2},
                      {"dilation_h", 2},
                      {"dilation_w", 2}};
  const TensorType dy = bfp_type({2, 3, 6, 4}, 1.25f);
  const TensorType addend = bfp_type({2, 5, 7, 3}, 1.7f);
  std::vector<OpExample> all = and_overwriting(
      {{.inputs = {dy, kExp, s8_per_channel({4, 3, 2, 3}, 0), kExp, kExp},
        .attrs = strided,
        .absent = {3}},
       {.inputs = {dy, kExp, bfp_type({4, 3, 2, 3}, 1), kExp},
        .attrs = strided},
       {.inputs = {bfp_type({1, 2, 2, 6}, 1), kExp, s8({6, 3, 3, 2}, 0.02f, 0)},
        .attrs = grouped},
       {.inputs = {bfp_type({1, 2, 2, 6}, 1), kExp, bfp_type({6, 3, 3, 2}, 1),
                   kExp, kExp},
        .attrs = grouped}});
  all.push_back({.inputs = {dy, kExp, s8_per_channel({4, 3, 2, 3}, 0), kExp,
                            kExp, addend, kExp},
                 .attrs = strided,
                 .absent = {3},
                 .note = "added to another"});
  all.push_back({.inputs = {dy, kExp, bfp_type({4, 3, 2, 3}, 1), kExp, kExp,
                            addend, kExp},
                 .attrs = strided,
                 .absent = {4}});
  return all;
}

std::vector<OpExample> bfp_conv2d_weight_grad_examples() {
  const Attrs strided{{"k_h", 3},      {"k_w", 2},     {"groups", 1},
                      {"stride_h", 2}, {"pad_top", 1}, {"pad_bottom", 1}};
  const TensorType dy = bfp_type({2, 3, 6, 4}, 1.25f);
  return {{.inputs = {s8({2, 5, 7, 3}, 0.04f, -9), dy, kExp, kExp, kExp},
           .attrs = strided,
           .absent = {3}},
          {.inputs = {bfp_type({2, 5, 7, 3}, 1.5f), dy, kExp, kExp},
           .attrs = strided},
          {.inputs = {bfp_type({1, 6, 6, 4}, 1), bfp_type({1, 2, 2, 6}, 1),
                      kExp, kExp, kExp},
           .attrs = {{"k_h", 3},
                     {"k_w", 3},
                     {"groups", 2},
                     {"dilation_h", 2},
                     {"dilation_w", 2}}},
          {.inputs = {s8({1, 17, 17, 3}, 0.04f, 7),
                      bfp_type({1, 17, 17, 2}, 1.25f), kExp, kExp, kExp},
           .attrs = same_3x3_of_one_group(),
           .absent = {3},
           .note = "more pixels than 32 bits can sum"},
          {.inputs = {s8({1, 5, 6, 5}, 0.04f, 7), bfp_type({1, 5, 6, 3}, 1.25f),
                      kExp, kExp, kExp},
           .attrs = same_3x3_of_one_group(),
           .absent = {3},
           .note = "one channel at a time"}};
}

std::vector<OpExample> bfp_depthwise_input_grad_examples() {
  Attrs same = same_3x3();
  same.set("in_h", int64_t{5});
  same.set("in_w", int64_t{4});
  same.set("in_c", int64_t{6});
  const Attrs doubled{{"in_h", 6}, {"in_w", 8}, {"in_c", 3}, {"stride_w", 2}};
  return and_overwriting({{.inputs = {bfp_type({2, 5, 4, 6}, 1.3f), kExp,
                                      bfp_type({1, 3, 3, 6}, 1), kExp, kExp},
                           .attrs = same},
                          {.inputs = {bfp_type({2, 3, 3, 8}, 1.3f), kExp,
                                      bfp_type({1, 3, 3, 8}, 1), kExp, kExp},
                           .attrs = {{"in_h", 6},
                                     {"in_w", 7},
                                     {"in_c", 8},
                                     {"stride_h", 2},
                                     {"stride_w", 2},
                                     {"pad_top", 1},
                                     {"pad_bottom", 1}}},
                          {.inputs = {bfp_type({1, 5, 3, 6}, 1), kExp,
                                      bfp_type({1, 2, 3, 6}, 1.4f), kExp},
                           .attrs = doubled,
                           .note = "two outputs a channel"}});
}

std::vector<OpExample> bfp_depthwise_weight_grad_examples() {
  Attrs same = same_3x3();
  same.set("k_h", int64_t{3});
  same.set("k_w", int64_t{3});
  const Attrs doubled{{"k_h", 2}, {"k_w", 3}, {"stride_w", 2}};
  return {{.inputs = {s8({2, 5, 4, 6}, 0.03f, 9), bfp_type({2, 5, 4, 6}, 1.3f),
                      kExp, kExp, kExp},
           .attrs = same,
           .absent = {3}},
          {.inputs = {s8({2, 6, 7, 8}, 0.03f, -9), bfp_type({2, 3, 4, 8}, 1.3f),
                      kExp, kExp, kExp},
           .attrs = {{"k_h", 3},
                     {"k_w", 3},
                     {"stride_h", 2},
                     {"stride_w", 2},
                     {"pad_top", 1},
                     {"pad_left", 1},
                     {"pad_right", 1}},
           .absent = {3}},
          {.inputs = {bfp_type({1, 6, 8, 3}, 1.6f), bfp_type({1, 5, 3, 6}, 1),
                      kExp, kExp},
           .attrs = doubled,
           .note = "two outputs a channel"}};
}

}  // namespace ft::ops
