// Ops on block floating point against their float twins in double, and against
// formulas; the int8 layers against those that are deployed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "ops/append.h"
#include "ops/bfp_ops.h"
#include "ops/conv_common.h"
#include "ops/every_op.h"

namespace ft {
namespace {

// Real values of input or output `v`, whose exponent (kNone: none) is `e`.
std::vector<double> real_of(const Example& x, ValueId v, ValueId e) {
  const TensorType& type = x.graph.value(v).type;
  auto& buffer = const_cast<GuardedBuffer&>(x.values[static_cast<size_t>(v)]);
  std::vector<double> real;
  int exponent = 0;
  if (e != kNone)
    exponent = const_cast<GuardedBuffer&>(x.values[static_cast<size_t>(e)])
                   .as<int32_t>()[0];
  const QuantParams& q = type.quant;
  const auto inner = [&] {
    int64_t n = 1;
    for (int d = q.quantized_dimension + 1; d < type.shape.rank(); ++d)
      n *= type.shape[d];
    return n;
  }();
  for (int64_t i = 0; i < type.shape.num_elements(); ++i) {
    const auto at = static_cast<size_t>(i);
    const size_t c = q.is_per_channel()
                         ? static_cast<size_t>(i / inner) % q.scale.size()
                         : 0;
    const double m = type.dtype == DType::kS8
                         ? buffer.as<int8_t>()[at] - q.zero_point[c]
                         : buffer.as<int16_t>()[at];
    real.push_back(std::ldexp(m * static_cast<double>(q.scale[c]), exponent));
  }
  return real;
}

// A bfp op, its twin, and which inputs are the twin's; of each, where its
// exponent is.
struct Pair {
  const OpDef *op, *twin;
  std::vector<std::pair<size_t, size_t>> inputs;
  std::pair<size_t, size_t> addend = {};  // what the op adds to the twin's
};

const std::vector<Pair>& pairs() {
  using namespace ops;
  static const std::vector<Pair> kPairs = {
      {&kBfpConv2d, &kConv2d, {{0, 3}, {1, 2}, {4, 5}}},
      {&kBfpConv2dInputGrad, &kConv2dInputGrad, {{0, 1}, {2, 3}}, {5, 6}},
      {&kBfpConv2dWeightGrad, &kConv2dWeightGrad, {{0, 3}, {1, 2}}},
      {&kBfpDepthwiseConv2dInputGrad,
       &kDepthwiseConv2dInputGrad,
       {{0, 1}, {2, 3}}},
      {&kBfpDepthwiseConv2dWeightGrad,
       &kDepthwiseConv2dWeightGrad,
       {{0, 3}, {1, 2}}},
      {&kBfpGainGrad,
       &kGainGrad,
       {{0, 12}, {1, 12}, {2, 3}, {4, 12}, {5, 6}, {7, 8}, {9, 10}}},
      {&kBfpMatmul, &kMatmul, {{0, 2}, {1, 3}}},
      {&kBfpReduce, &kReduce, {{0, 1}}},
      {&kBfpAvgPool2dGrad, &kAvgPool2dGrad, {{0, 1}}},
      {&kBfpAdd, &kBinary, {{0, 1}, {2, 3}}},
      {&kBfpMul, &kBinary, {{0, 1}, {2, 3}}},
      {&kBfpSparseConv2d, &kSparseConv2d, {{0, 4}, {1, 2}, {3, 5}}},
      {&kBfpSparseConv2dValuesGrad,
       &kSparseConv2dValuesGrad,
       {{0, 4}, {1, 2}, {3, 6}}},
      {&kBfpSparseConv2dInputGrad,
       &kSparseConv2dInputGrad,
       {{0, 1}, {2, 3}, {4, 6}}},
      {&kBfpGatherGrad, &kGatherGrad, {{0, 1}, {2, 4}}},
      {&kBfpConcat, &kConcat, {{0, 1}, {2, 3}, {4, 5}}},
  };
  return kPairs;
}

ValueId input_at(const Example& x, size_t i) {
  return i < x.node().inputs.size() ? x.node().inputs[i] : kNone;
}

// Exponents near each other, so that no operand drowns another.
void set_exponents(const Pair& pair, Example& x, uint64_t seed) {
  const Random random(seed, "exponents");
  std::vector<std::pair<size_t, size_t>> inputs = pair.inputs;
  if (pair.addend.second != 0) inputs.push_back(pair.addend);
  for (const auto& [value, exponent] : inputs)
    if (const ValueId e = input_at(x, exponent); e != kNone)
      x.values[static_cast<size_t>(e)].as<int32_t>()[0] =
          static_cast<int32_t>(random.below(value, 6)) - 15;
}

std::vector<double> twin_result(const Pair& pair, const Example& x,
                                const Attrs& attrs) {
  Graph graph;
  std::vector<ValueId> inputs;
  std::vector<std::vector<double>> reals(pair.inputs.size());
  std::vector<std::span<const std::byte>> data(pair.inputs.size());
  for (const auto& [value, exponent] : pair.inputs) {
    const ValueId v = input_at(x, value);
    const size_t i = inputs.size();
    inputs.push_back(kNone);
    if (v == kNone) continue;
    const TensorType& type = x.graph.value(v).type;
    const bool index = type.dtype == DType::kS32;
    data[i] = x.values[static_cast<size_t>(v)].bytes();
    if (!index) {
      reals[i] = real_of(x, v, input_at(x, exponent));
      data[i] = std::as_bytes(std::span(reals[i]));
    }
    inputs[i] = graph.add_input(fmt::format("x{}", value),
                                {.dtype = index ? DType::kS32 : DType::kF64,
                                 .shape = type.shape,
                                 .quant = {}});
  }
  while (inputs.back() == kNone) inputs.pop_back();
  const auto y = append(graph, *pair.twin, inputs, attrs);
  EXPECT_TRUE(y.ok()) << y.status().message();
  Buffers values;
  fill_missing(graph, values, {}, 1);
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i] != kNone)
      values[static_cast<size_t>(inputs[i])].assign(data[i]);
  const Status status = evaluate(graph, values);
  EXPECT_TRUE(status.ok()) << status.message();
  const auto real = values[static_cast<size_t>(*y)].as<double>();
  return {real.begin(), real.end()};
}

void add_addend(const Pair& pair, const Example& x, std::vector<double>& to) {
  const auto& [value, exponent] = pair.addend;
  if (value == 0 || input_at(x, value) == kNone) return;
  const auto real = real_of(x, input_at(x, value), input_at(x, exponent));
  for (size_t i = 0; i < to.size(); ++i) to[i] += real[i];
}

TEST(BlockFloatingPoint, EqualsTheFloatTwinInDouble) {
  for (const Pair& pair : pairs())
    for (const OpExample& example : pair.op->examples())
      for (uint64_t seed = 0; seed < 4; ++seed) {
        SCOPED_TRACE(
            fmt::format("{} {}", pair.op->name, example.attrs.to_string()));
        auto made = build_example(*pair.op, example, {.seed = seed});
        ASSERT_TRUE(made.ok()) << made.status().message();
        Example& x = made.value();
        set_exponents(pair, x, seed);
        Attrs attrs = example.attrs;
        if (pair.twin == &ops::kBinary)
          attrs.set("kind", pair.op == &ops::kBfpMul ? "mul" : "add");
        std::vector<double> expected = twin_result(pair, x, attrs);
        add_addend(pair, x, expected);
        ASSERT_TRUE(evaluate(x.graph, x.values).ok());
        const auto got = real_of(x, x.node().outputs[0], x.node().outputs[1]);
        double largest = 0, worst = 0;
        for (const double v : expected)
          largest = std::max(largest, std::fabs(v));
        for (size_t i = 0; i < got.size(); ++i)
          worst = std::max(worst, std::fabs(got[i] - expected[i]));
        // Half a step of 15 bits; up to a slack of 3 where predicted.
        EXPECT_LE(worst, largest * 0x1p-12);
        int bits = 0;
        for (const int16_t m :
             x.values[static_cast<size_t>(x.node().outputs[0])].as<int16_t>())
          bits |= std::abs(int{m});
        EXPECT_GE(bits, 1 << 11) << "mantissas are left unused";
      }
}

const Pair kInverseNorm{
    &ops::kBfpInverseNorm, &ops::kWeightNorm, {{0, 5}, {1, 2}, {3, 4}}};

Example inverse_norm(const OpExample& example, uint64_t seed) {
  Example x = build_example(*kInverseNorm.op, example, {.seed = seed}).value();
  for (const size_t e : {2, 4}) x.values[e].as<int32_t>()[0] = -18;
  return x;
}

TEST(BlockFloatingPoint, InverseLengthsAreOneOverTheTwin) {
  for (const OpExample& example : kInverseNorm.op->examples()) {
    Example x = inverse_norm(example, 3);
    const auto lengths = twin_result(kInverseNorm, x, example.attrs);
    ASSERT_TRUE(evaluate(x.graph, x.values).ok());
    const auto got = real_of(x, x.node().outputs[0], x.node().outputs[1]);
    for (size_t o = 0; o < got.size(); ++o)
      EXPECT_NEAR(got[o] * lengths[o], 1, 5e-4) << o;
  }
}

// In units of the base's inverse lengths, whatever rounding those had. A row of
// zeros takes no digits from the others.
TEST(BlockFloatingPoint, ABaseWithoutAdapterHasInverseLengthsOfExactlyOne) {
  for (OpExample example : kInverseNorm.op->examples())
    for (const bool zeros : {false, true}) {
      const auto clear = [&](Example& x) {
        std::ranges::fill(x.values[3].as<int16_t>(), int16_t{0});
        const Shape& w = example.inputs[0].shape;
        const auto row =
            static_cast<size_t>(w.num_elements() / example.inputs[3].shape[0]);
        if (zeros && w[0] != 1)
          std::ranges::fill(x.values[0].as<int8_t>().first(row), int8_t{0});
      };
      Example x = inverse_norm(example, 5);
      clear(x);
      const auto lengths = twin_result(kInverseNorm, x, example.attrs);
      for (size_t o = 0; o < lengths.size(); ++o)
        example.out_quant[0].scale[o] =
            static_cast<float>(lengths[o] > 1e-30 ? 1 / lengths[o] : 50);
      Example counted = inverse_norm(example, 5);
      clear(counted);
      ASSERT_TRUE(evaluate(counted.graph, counted.values).ok());
      const auto& outputs = counted.node().outputs;
      for (const int16_t y :
           counted.values[static_cast<size_t>(outputs[0])].as<int16_t>())
        EXPECT_EQ(y, 1 << 14);
      EXPECT_EQ(
          counted.values[static_cast<size_t>(outputs[1])].as<int32_t>()[0],
          -14);
    }
}

// The int8 layers: without a side, and with one that changes nothing, they are
// the deployed layer, bit for bit; with one, the float side's result but for
// ties.
const OpDef* layer_twin(const OpDef& op, const OpExample& example) {
  if (&op == &ops::kBfpSideDepthwiseConv2d) return &ops::kDepthwiseConv2d;
  return example.inputs[1].shape.rank() == 2 ? &ops::kFullyConnected
                                             : &ops::kConv2d;
}

// The twin on the first `count` of its six inputs; of a side's mantissas at 3,
// 5 and 7 their real values.
std::vector<int8_t> layer_result(const Example& x, const OpDef& twin,
                                 const OpExample& example, size_t count) {
  Graph graph;
  std::vector<ValueId> inputs;
  std::vector<std::vector<float>> reals(count);
  Buffers values;
  std::vector<std::span<const std::byte>> data(count);
  for (size_t i = 0; i < count; ++i) {
    const size_t from = i < 3 ? i : 2 * i - 3;
    const ValueId v = input_at(x, from);
    inputs.push_back(kNone);
    if (v == kNone) continue;
    TensorType type = x.graph.value(v).type;
    data[i] = x.values[static_cast<size_t>(v)].bytes();
    if (i >= 3) {
      const auto real = real_of(x, v, input_at(x, from + 1));
      reals[i].assign(real.begin(), real.end());
      data[i] = std::as_bytes(std::span(reals[i]));
      type.dtype = DType::kF32;
      type.quant = {};
    }
    inputs.back() = graph.add_input(fmt::format("x{}", i), type);
  }
  const auto y = append(graph, twin, inputs, example.attrs,
                        {.out_quant = example.out_quant});
  EXPECT_TRUE(y.ok()) << y.status().message();
  fill_missing(graph, values, {}, 1);
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i] != kNone)
      values[static_cast<size_t>(inputs[i])].assign(data[i]);
  EXPECT_TRUE(evaluate(graph, values).ok());
  const auto q = values[static_cast<size_t>(*y)].as<int8_t>();
  return {q.begin(), q.end()};
}

// Sides of some 2^-16 a mantissa and gains of about 1, or those that change
// nothing.
void set_sides(const TensorType& gain, bool neutral, Example& x) {
  for (const size_t i : {3, 5, 7}) {
    if (input_at(x, i) == kNone) continue;
    int32_t& exponent =
        x.values[static_cast<size_t>(input_at(x, i + 1))].as<int32_t>()[0];
    exponent = i == 7 ? -14 : -16;
    const auto unit = static_cast<int16_t>(std::lround(
        16384 / (i == 7 ? static_cast<double>(gain.quant.scale[0]) : 1)));
    for (int16_t& m :
         x.values[static_cast<size_t>(input_at(x, i))].as<int16_t>())
      m = i == 7    ? static_cast<int16_t>(neutral ? unit : unit + m / 4)
          : neutral ? int16_t{0}
                    : m;
  }
}

TEST(BlockFloatingPoint, Int8LayersAreTheDeployedOnes) {
  for (const OpDef* op :
       {&ops::kBfpSideConv2d, &ops::kBfpSideDepthwiseConv2d}) {
    for (const OpExample& example : op->examples()) {
      const size_t count = example.inputs.size();
      const bool has_side = count > 3, has_gain = count > 7;
      for (const bool neutral : {false, true}) {
        // Of all factors but 1 a gain of 1 is no multiple.
        if (has_gain && neutral && example.inputs[7].quant.scale[0] != 1.0f)
          continue;
        auto made = build_example(*op, example, {.seed = 3});
        ASSERT_TRUE(made.ok()) << made.status().message();
        Example& x = made.value();
        set_sides(has_gain ? example.inputs[7] : TensorType{}, neutral, x);
        ASSERT_TRUE(evaluate(x.graph, x.values).ok());
        const auto got =
            x.values[static_cast<size_t>(x.node().outputs[0])].as<int8_t>();
        const size_t wanted =
            neutral ? 3 : std::min<size_t>(6, (count + 4) / 2);
        const std::vector<int8_t> expected =
            layer_result(x, *layer_twin(*op, example), example, wanted);
        size_t different = 0;
        for (size_t i = 0; i < got.size(); ++i) {
          EXPECT_LE(std::abs(got[i] - expected[i]),
                    neutral || !has_side ? 0 : 1);
          different += got[i] != expected[i];
        }
        EXPECT_LE(different * 50, got.size()) << op->name;
      }
    }
  }
}

struct LossCase {
  std::vector<double> logits;
  int label;
};

// Logits with a given spread: from certain to undecided.
TEST(BlockFloatingPoint, CrossEntropyEqualsTheFormula) {
  for (const int exponent : {-20, -15, -12, -10}) {
    for (const OpExample& example : ops::kBfpSoftmaxCrossEntropy.examples()) {
      auto loss =
          build_example(ops::kBfpSoftmaxCrossEntropy, example, {.seed = 9})
              .value();
      auto grad =
          build_example(ops::kBfpSoftmaxCrossEntropyGrad, example, {.seed = 9})
              .value();
      const auto rows = static_cast<size_t>(example.inputs[0].shape[0]);
      const auto classes = static_cast<size_t>(example.inputs[0].shape[1]);
      for (Example* x : {&loss, &grad}) {
        x->values[1].as<int32_t>()[0] = exponent;
        for (size_t r = 0; r < rows; ++r)
          x->values[2].as<int32_t>()[r] = static_cast<int32_t>(r % classes);
        ASSERT_TRUE(evaluate(x->graph, x->values).ok());
      }
      const std::vector<double> logits = real_of(loss, 0, 1);
      const std::vector<double> got =
          real_of(grad, grad.node().outputs[0], grad.node().outputs[1]);
      double expected = 0, worst = 0;
      for (size_t r = 0; r < rows; ++r) {
        const double* x = logits.data() + r * classes;
        const double top = *std::max_element(x, x + classes);
        double sum = 0;
        for (size_t c = 0; c < classes; ++c) sum += std::exp(x[c] - top);
        expected += std::log(sum) + top - x[r % classes];
        for (size_t c = 0; c < classes; ++c) {
          const double p = std::exp(x[c] - top) / sum;
          const double d =
              (p - (c == r % classes ? 1 : 0)) / static_cast<double>(rows);
          worst = std::max(worst, std::fabs(got[r * classes + c] - d));
        }
      }
      const auto raw = loss.values[static_cast<size_t>(loss.node().outputs[0])]
                           .as<int32_t>();
      const double value = std::ldexp(static_cast<double>(raw[0]), raw[1]);
      expected /= static_cast<double>(rows);
      EXPECT_NEAR(value, expected, 1e-5 * std::max(1.0, expected)) << exponent;
      EXPECT_LE(worst, 0x1p-14) << exponent;
    }
  }
}

// A product for each of dy's values and each tap, twice where dy is read twice.
TEST(BfpDepthwise, CountsAsManyProductsAsItMakes) {
  const std::pair<const OpDef*, size_t> ops[] = {
      {&ops::kBfpDepthwiseConv2dInputGrad, 0},
      {&ops::kBfpDepthwiseConv2dWeightGrad, 1}};
  for (const auto& [op, dy] : ops)
    for (const OpExample& example : op->examples()) {
      const auto made = build_example(*op, example, {.seed = test_seed()});
      ASSERT_TRUE(made.ok()) << made.status().message();
      const NodeView view = made.value().context().view;
      const Shape& w = dy == 0 ? view.shape(2) : view.out(0).shape;
      const int64_t times = example.attrs.get_int("overwrites") != 0 ? 2 : 1;
      EXPECT_EQ(op->macs(view),
                times * view.shape(dy).num_elements() * w[1] * w[2]);
    }
}

}  // namespace
}  // namespace ft
