// Adapters in integers beside int8 layers against real numbers: one layer, its
// LoRA and what both give in double precision.
#include "passes/int8_sides.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "exec/session.h"
#include "kernels/kernel.h"
#include "methods/head.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/linear_examples.h"
#include "ops/side_ops.h"
#include "passes/dead_code.h"
#include "plan/program.h"

namespace ft {
namespace {

constexpr int64_t kH = 5, kW = 4;

struct Layer {
  const OpDef* op = &ops::kConv2d;
  int64_t in_c = 8, out_c = 12, kernel = 3, rank = 4;
  int32_t x_zero_point = -128;
  double b_range = 0.5;  // of B; 0: the deployed layer
  float dead_scale = 0;  // of the first channel's weights, if not 0
  bool is_depthwise() const { return op == &ops::kDepthwiseConv2d; }
};

struct Built {
  Graph graph;
  std::vector<int8_t> x;
  std::vector<double> real;  // of each output, before it is rounded
};

std::vector<int8_t> random_bytes(size_t n, const char* what) {
  const Random random(11, what);
  std::vector<int8_t> bytes;
  for (size_t i = 0; i < n; ++i)
    bytes.push_back(
        static_cast<int8_t>(static_cast<int>(random.below(i, 255)) - 127));
  return bytes;
}

// What [rank, taps] and [out_c, rank] add to weight `tap` of output c; of a
// convolution a tap is one of a window's elements.
double product(const Layer& l, const std::vector<float>& a,
               const std::vector<float>& b, int64_t c, int64_t tap,
               int64_t taps) {
  double sum = 0;
  for (int64_t i = 0; i < l.rank; ++i)
    sum += static_cast<double>(a[static_cast<size_t>(i * taps + tap)]) *
           static_cast<double>(b[static_cast<size_t>(c * l.rank + i)]);
  return 2 * sum;  // lora_scaling
}

// A layer's own numbers: its weights, and the two factors beside them.
struct Values {
  explicit Values(const Layer& l);
  int64_t taps, window;  // of a filter; elements that one output reads
  TensorType w_type;
  std::vector<int8_t> x, w;
  std::vector<float> a, b;
  std::vector<int32_t> bias;
};

Values::Values(const Layer& l)
    : taps(l.kernel * l.kernel),
      window(l.is_depthwise() ? taps : taps * l.in_c) {
  const Shape w_shape = l.is_depthwise()
                            ? Shape{1, l.kernel, l.kernel, l.out_c}
                            : Shape{l.out_c, l.kernel, l.kernel, l.in_c};
  w_type = s8_per_channel(w_shape, l.is_depthwise() ? 3 : 0);
  if (l.dead_scale > 0) w_type.quant.scale[0] = l.dead_scale;
  x = random_bytes(static_cast<size_t>(kH * kW * l.in_c), "x");
  w = random_bytes(static_cast<size_t>(w_shape.num_elements()), "w");
  a = uniform_values(static_cast<size_t>(l.rank * window), 0.2, 3, "a");
  b = uniform_values(static_cast<size_t>(l.out_c * l.rank), 1, 3, "b");
  for (float& v : b) v *= static_cast<float>(l.b_range);
  for (int64_t c = 0; c < l.out_c; ++c)
    bias.push_back(l.dead_scale > 0 ? 0 : static_cast<int32_t>(c * 100 - 500));
}

Graph graph_of(const Layer& l, const Values& values, float y_scale) {
  Graph g;
  const ValueId x =
      g.add_input("x", s8({1, kH, kW, l.in_c}, 0.05f, l.x_zero_point));
  const ValueId weight =
      g.add_owned(ValueKind::kConstant, "w", values.w_type, values.w);
  const ValueId offset =
      g.add_owned(ValueKind::kConstant, "b", s32({l.out_c}), values.bias);
  const Attrs same{{"pad_top", l.kernel / 2},
                   {"pad_left", l.kernel / 2},
                   {"pad_bottom", l.kernel / 2},
                   {"pad_right", l.kernel / 2}};
  Attrs scaled = same;
  scaled.set("lora_scaling", 2.0);
  const ValueId lora_b =
      g.add_owned(ValueKind::kParam, "B", f32({l.out_c, l.rank}), values.b);
  std::vector<ValueId> inputs = {x, weight, offset};
  if (l.is_depthwise()) {
    const ValueId lora_a = g.add_owned(ValueKind::kParam, "A",
                                       f32({l.rank, values.taps}), values.a);
    const ValueId ba = append(g, ops::kMatmul, {lora_a, lora_b},
                              {{"trans_a", 1}, {"trans_b", 1}, {"alpha", 2.0}})
                           .value();
    inputs.push_back(
        append(
            g, ops::kReshape, {ba},
            {{"shape", std::vector<int64_t>{1, l.kernel, l.kernel, l.out_c}}})
            .value());
    scaled = same;
  } else {
    const ValueId lora_a =
        g.add_owned(ValueKind::kParam, "A",
                    f32({l.rank, l.kernel, l.kernel, l.in_c}), values.a);
    inputs.push_back(append(g, ops::kConv2d, {x, lora_a}, same).value());
    inputs.push_back(lora_b);
  }
  g.outputs = {
      append(g, *l.op, inputs, scaled,
             {.name = "layer", .out_quant = quant_of_output(y_scale, -3)})
          .value()};
  return g;
}

// What output c of a pixel is in real numbers.
double real_value(const Layer& l, const Values& values, int64_t pixel,
                  int64_t c) {
  const double unit =
      static_cast<double>(values.w_type.quant.scale[static_cast<size_t>(c)]);
  double sum = values.bias[static_cast<size_t>(c)] * unit * 0.05;
  for (int64_t tap = 0; tap < values.window; ++tap) {
    const int64_t at = l.is_depthwise() ? tap : tap / l.in_c;
    const int64_t ci = l.is_depthwise() ? c : tap % l.in_c;
    const int64_t iy = pixel / kW + at / l.kernel - l.kernel / 2;
    const int64_t ix = pixel % kW + at % l.kernel - l.kernel / 2;
    if (iy < 0 || iy >= kH || ix < 0 || ix >= kW) continue;
    const double v =
        0.05 * (values.x[static_cast<size_t>((iy * kW + ix) * l.in_c + ci)] -
                l.x_zero_point);
    const double base =
        unit *
        values.w[static_cast<size_t>(
            l.is_depthwise() ? tap * l.out_c + c : c * values.window + tap)];
    sum += v * (base + product(l, values.a, values.b, c, tap, values.window));
  }
  return sum;
}

Built built(const Layer& l, float y_scale) {
  const Values values(l);
  Built made;
  made.graph = graph_of(l, values, y_scale);
  made.x = values.x;
  for (int64_t pixel = 0; pixel < kH * kW; ++pixel)
    for (int64_t c = 0; c < l.out_c; ++c)
      made.real.push_back(real_value(l, values, pixel, c));
  return made;
}

std::vector<int8_t> run(const Graph& graph, const std::vector<int8_t>& x) {
  const Program program = build_program(graph.clone(), {}).value();
  Session session = Session::create(program).value();
  std::ranges::copy(std::as_bytes(std::span(x)), session.input(0).begin());
  session.run();
  const auto out = session.output(0);
  const auto* first = reinterpret_cast<const int8_t*>(out.data());
  return {first, first + out.size()};
}

// Largest distance from the real numbers, in steps of the output.
double distance(const std::vector<int8_t>& y, const Built& made,
                float y_scale) {
  double most = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const double exact = std::clamp(
        made.real[i] / static_cast<double>(y_scale) - 3, -128.0, 127.0);
    most = std::max(most, std::abs(exact - y[i]));
  }
  return most;
}

class Int8Sides : public ::testing::TestWithParam<Layer> {};

TEST_P(Int8Sides, AreWithinAStepOfRealNumbers) {
  const Layer& l = GetParam();
  const float y_scale = l.is_depthwise() ? 0.05f : 0.3f;
  Built made = built(l, y_scale);
  ASSERT_TRUE(int8_sides(made.graph).ok());
  remove_dead_nodes(made.graph);
  ASSERT_EQ(made.graph.num_nodes(), 1);
  EXPECT_TRUE(made.graph.node(0).op == &ops::kSideConv2d ||
              made.graph.node(0).op == &ops::kWideDepthwiseConv2d);
  EXPECT_LE(distance(run(made.graph, made.x), made, y_scale), 1.0);
  const Program program = build_program(made.graph.clone(), {}).value();
  for (const Binding& b : program.persistent)
    EXPECT_NE(b.type.dtype, DType::kF32) << b.name << " is not read any more";
}

// Those without a channel whose unit is coarser than the deployed layer's.
class Int8SidesOfLiveChannels : public ::testing::TestWithParam<Layer> {};

TEST_P(Int8SidesOfLiveChannels, WithoutAnAdapterAreTheDeployedLayer) {
  Layer l = GetParam();
  l.b_range = 0;
  const Built base = built(l, 0.3f);
  Graph beside = base.graph.clone();
  ASSERT_TRUE(int8_sides(beside).ok());
  remove_dead_nodes(beside);
  EXPECT_EQ(run(beside, base.x), run(base.graph, base.x));
}

const std::vector<Layer> kLive = {
    {},
    {.kernel = 1},
    {.in_c = 5, .rank = 3},
    {.in_c = 16, .out_c = 7, .kernel = 1, .rank = 1, .x_zero_point = 9},
    {.b_range = 0.001},
    {.b_range = 1.2},
    {.op = &ops::kDepthwiseConv2d, .in_c = 12, .b_range = 0.05},
    {.op = &ops::kDepthwiseConv2d,
     .in_c = 6,
     .out_c = 6,
     .x_zero_point = 4,
     .b_range = 0.2}};
const std::vector<Layer> kWithADeadChannel = {
    {.in_c = 64, .kernel = 1, .dead_scale = 1e-8f},
    {.op = &ops::kDepthwiseConv2d,
     .in_c = 12,
     .b_range = 0.2,
     .dead_scale = 1e-7f}};
INSTANTIATE_TEST_SUITE_P(Live, Int8Sides, ::testing::ValuesIn(kLive));
INSTANTIATE_TEST_SUITE_P(Dead, Int8Sides,
                         ::testing::ValuesIn(kWithADeadChannel));
INSTANTIATE_TEST_SUITE_P(Live, Int8SidesOfLiveChannels,
                         ::testing::ValuesIn(kLive));

TEST(Int8Sides, RefusesWhatTheyCannotHoldByName) {
  const auto refusal = [](const Layer& l) {
    Built made = built(l, 0.3f);
    const Status status = int8_sides(made.graph);
    EXPECT_EQ(status.code(), Code::kInvalidInput);
    return status.message();
  };
  EXPECT_NE(refusal({.b_range = 1e6}).find("what the adapter adds to 'layer'"),
            std::string::npos);
  EXPECT_NE(refusal({.op = &ops::kDepthwiseConv2d, .in_c = 12, .b_range = 1e4})
                .find("a weight of 'layer' is"),
            std::string::npos);
  Graph plain;
  plain.outputs = {plain.add_input("x", f32({1}))};
  EXPECT_NE(int8_sides(plain).message().find("beside no int8 layer"),
            std::string::npos);
}

}  // namespace
}  // namespace ft
