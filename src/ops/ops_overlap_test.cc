// Every row of every op that may write over its input, over that input: the
// bytes are those of separate buffers, at exactly the distance that the op
// gives. Its examples, and convolutions of random geometry.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "ops/every_op.h"
#include "ops/linear_examples.h"
#include "ops/overlap.h"

namespace ft {
namespace {

class OpOverlap : public EveryOp {};

bool takes(const KernelDef& row, const Example& example) {
  if (row.run == nullptr || (row.available && !row.available())) return false;
  const LowerContext context = example.context();
  Lowered lowered;
  EXPECT_TRUE(context.node.op->lower(context, lowered).ok());
  return row.signature == signature_of(context.view) &&
         (row.accepts == nullptr || row.accepts(context, lowered));
}

// Whether the row may overlap at all; its bytes must be those without.
bool overlaps(const OpDef& op, const OpExample& example,
              const ExampleOptions& options, const KernelDef& row) {
  SCOPED_TRACE(row.symbol);
  auto apart = build_example(op, example, options);
  auto over = build_example(op, example, options);
  EXPECT_TRUE(apart.ok() && over.ok());
  if (!apart.ok() || !takes(row, apart.value())) return false;
  Example& a = apart.value();
  const Status status = run_row(a.context(), row, a.values);
  EXPECT_TRUE(status.ok()) << status.message();
  const auto got =
      run_overlapping(over.value().context(), row, over.value().values);
  EXPECT_TRUE(got.ok()) << got.status().message();
  if (!got.ok() || got.value().empty()) return false;
  const auto expected =
      a.values[static_cast<size_t>(a.node().outputs[0])].bytes();
  EXPECT_TRUE(std::ranges::equal(got.value(), expected));
  return true;
}

TEST_P(OpOverlap, LeavesTheBytesOfSeparateBuffers) {
  if (op().overlap == nullptr) return;
  int compared = 0;
  for_each_example([&](const OpExample& example) {
    const auto made = build_example(op(), example, {.seed = test_seed()});
    ASSERT_TRUE(made.ok()) << made.status().message();
    for (const KernelDef& row : op().kernels)
      for (const bool constants : {false, true})
        for (const DType real : {DType::kF32, DType::kF64}) {
          if (real == DType::kF64 && !is_float_example(made.value())) continue;
          compared += overlaps(
              op(), example,
              {.seed = test_seed(), .real = real, .constants = constants}, row);
        }
  });
  EXPECT_GT(compared, 0) << "no row of " << op().name << " may overlap";
}

FT_FOR_EVERY_OP(OpOverlap);

// int8 convolutions of random sizes, strides, dilations and padding, whole and
// depthwise.
OpExample random_convolution(const Random& random, bool depthwise) {
  uint64_t next = 0;
  const auto from = [&](int64_t low, uint32_t count) {
    return low + static_cast<int64_t>(random.below(next++, count));
  };
  const int64_t k_h = from(1, 4), k_w = from(1, 4);
  const int64_t in_c = from(1, 9), out_c = depthwise ? in_c : from(1, 9);
  const int64_t h = from(2 * k_h, 8), w = from(2 * k_w, 8);
  const Attrs attrs{{"stride_h", from(1, 3)},   {"stride_w", from(1, 3)},
                    {"dilation_h", from(1, 2)}, {"dilation_w", from(1, 2)},
                    {"pad_top", from(0, 3)},    {"pad_bottom", from(0, 3)},
                    {"pad_left", from(0, 3)},   {"pad_right", from(0, 3)}};
  const Shape weights =
      depthwise ? Shape{1, k_h, k_w, out_c} : Shape{out_c, k_h, k_w, in_c};
  return {.inputs = {s8({from(1, 2), h, w, in_c}, 0.05f, -3),
                     s8_per_channel(weights, depthwise ? 3 : 0), s32({out_c})},
          .attrs = attrs,
          .out_quant = quant_of_output(0.2f, 4)};
}

TEST(ConvolutionOverlap, HoldsForRandomGeometry) {
  for (const bool depthwise : {false, true}) {
    const OpDef& op = depthwise ? ops::kDepthwiseConv2d : ops::kConv2d;
    int compared = 0;
    for (uint64_t k = 0; k < 150; ++k) {
      const OpExample example =
          random_convolution(Random(test_seed() + k, "overlap"), depthwise);
      SCOPED_TRACE(example.attrs.to_string());
      for (const KernelDef& row : op.kernels)
        compared += overlaps(
            op, example,
            {.seed = k, .constants = true, .above_minus_128 = true}, row);
    }
    EXPECT_GE(compared, 150);
  }
}

// What a call leaves, with `predicted` from the step before.
std::vector<std::vector<std::byte>> results_of(const OpDef& op,
                                               const OpExample& example,
                                               const KernelDef& row,
                                               int32_t predicted) {
  auto made = build_example(op, example, {.seed = test_seed()});
  Example& e = made.value();
  constexpr size_t kPredicted = 4;
  const ValueId state =
      e.node().inputs.size() > kPredicted ? e.node().inputs[kPredicted] : kNone;
  if (state != kNone)
    e.values[static_cast<size_t>(state)].as<int32_t>()[0] = predicted;
  EXPECT_TRUE(run_row(e.context(), row, e.values).ok());
  std::vector<std::vector<std::byte>> all;
  std::vector<ValueId> written = e.node().outputs;
  if (state != kNone) written.push_back(state);
  for (const ValueId v : written) {
    const auto bytes = e.values[static_cast<size_t>(v)].bytes();
    all.emplace_back(bytes.begin(), bytes.end());
  }
  return all;
}

// Sums that are computed twice give the bits of those computed once, and the
// same prediction, whatever was predicted before.
TEST(GradientOverlap, OverwritingChangesNoBit) {
  int compared = 0;
  for (const OpDef* op :
       {&ops::kBfpConv2dInputGrad, &ops::kBfpDepthwiseConv2dInputGrad})
    for (OpExample example : op->examples())
      for (const KernelDef& row : op->kernels) {
        auto made = build_example(*op, example, {.seed = test_seed()});
        ASSERT_TRUE(made.ok()) << made.status().message();
        if (!takes(row, made.value())) continue;
        for (int32_t predicted = -4; predicted < 24; ++predicted) {
          example.attrs.set("overwrites", int64_t{0});
          const auto once = results_of(*op, example, row, predicted);
          example.attrs.set("overwrites", int64_t{1});
          EXPECT_EQ(results_of(*op, example, row, predicted), once)
              << row.symbol << " predicted " << predicted;
          ++compared;
        }
      }
  EXPECT_GE(compared, 28 * 14);
}

// A 1 x 1 layer keeps one pixel apart, a 3 x 3 one a row and two pixels.
TEST(ConvolutionOverlap, IsAsNarrowAsTheWindow) {
  ft_conv_params p{};
  p.batch = p.groups = p.stride_h = p.stride_w = 1;
  p.dilation_h = p.dilation_w = 1;
  p.in_h = p.out_h = 25;
  p.in_w = p.out_w = 5;
  p.in_c = p.out_c = 64;
  const TensorType image = s8({1, 25, 5, 64}, 1, 0);
  NodeView node{.op = nullptr,
                .name = "",
                .inputs = {&image},
                .outputs = {&image},
                .attrs = nullptr,
                .wanted_quant = {}};
  p.k_h = p.k_w = 1;
  EXPECT_EQ(ops::windows_overlap(node, p, 1).distance, 64);
  EXPECT_EQ(ops::windows_overlap(node, p, 2).distance, 128);
  EXPECT_EQ(ops::gathered_overlap(node, p, 2).distance, 0);
  p.k_h = p.k_w = 3;
  p.pad_top = p.pad_left = 1;
  EXPECT_EQ(ops::windows_overlap(node, p, 1).distance, (5 + 2) * 64);
}

}  // namespace
}  // namespace ft
