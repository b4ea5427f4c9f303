// Stripes of rows against the whole computation, bit for bit.
#include "passes/stripes.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "base/random.h"
#include "exec/session.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/example_types.h"
#include "ops/verify.h"

namespace ft {
namespace {

// Convolutions, depthwise ones, pools and sums of any size, float or int8, from
// one image to one that is averaged.
class RandomNet {
 public:
  RandomNet(uint64_t seed, bool is_int8)
      : random_(seed, "stripes"), is_int8_(is_int8) {
    const int64_t size = 12 + below(20);
    ValueId y = graph.add_input("image", type({1, size, size, 4}));
    for (int layer = 0; layer < 4; ++layer) y = add_layer(y);
    graph.outputs = {*append(graph, ops::kConv2d, weights(y, 1, 2, 2), {},
                             {.out_quant = {quant()}})};
  }

  Graph graph;

 private:
  int64_t below(uint32_t n) { return random_.below(draw_++, n); }

  TensorType type(const Shape& shape) const {
    return is_int8_ ? s8(shape, 0.05f, -3) : f32(shape);
  }
  QuantParams quant() const {
    return is_int8_ ? s8({1}, 0.05f, -3).quant : QuantParams{};
  }

  ValueId random_weight(const Shape& shape) {
    std::vector<int8_t> bytes(static_cast<size_t>(shape.num_elements()));
    for (int8_t& b : bytes) b = static_cast<int8_t>(below(60) - 30);
    if (is_int8_)
      return graph.add_owned(ValueKind::kConstant, "w", s8(shape, 0.02f, 0),
                             bytes);
    std::vector<float> values;
    for (const int8_t b : bytes) values.push_back(static_cast<float>(b) / 32);
    return graph.add_owned(ValueKind::kConstant, "w", f32(shape), values);
  }

  std::vector<ValueId> weights(ValueId x, int64_t outputs, int64_t h,
                               int64_t w) {
    const int64_t channels = graph.value(x).type.shape[3];
    return {x, random_weight({outputs, h, w, channels})};
  }

  Attrs window() {
    return {{"stride_h", 1 + below(2)}, {"pad_top", below(2)},
            {"pad_bottom", below(2)},   {"pad_left", below(2)},
            {"pad_right", below(2)},    {"act", below(2)}};
  }

  ValueId add_layer(ValueId x) {
    const int64_t channels = graph.value(x).type.shape[3];
    const AppendOptions options{.out_quant = {quant()}};
    switch (graph.value(x).type.shape[1] < 7 ? 2 : below(4)) {
      case 0:
        return *append(graph, ops::kDepthwiseConv2d,
                       {x, random_weight({1, 3, 3, channels})}, window(),
                       options);
      case 1: {
        Attrs attrs = window();
        attrs.set("filter_h", int64_t{2});
        attrs.set("filter_w", int64_t{2});
        const OpDef& op = below(2) == 0 ? ops::kAvgPool2d : ops::kMaxPool2d;
        return *append(graph, op, {x}, attrs, options);
      }
      case 2: {  // a branch around a convolution
        const ValueId y =
            *append(graph, ops::kConv2d, weights(x, channels, 3, 3),
                    {{"pad_top", 1},
                     {"pad_bottom", 1},
                     {"pad_left", 1},
                     {"pad_right", 1}},
                    options);
        return *append(graph, ops::kBinary, {x, y}, {{"kind", "add"}}, options);
      }
      default:
        return *append(graph, ops::kConv2d,
                       weights(x, 4 * (1 + below(4)), 3, 3), window(), options);
    }
  }

  const Random random_;
  uint64_t draw_ = 0;
  const bool is_int8_;
};

std::vector<std::byte> answer_of(const Program& program) {
  Result<Session> made = Session::create(program);
  Session& session = *made;
  const Random random(7, "image");
  uint64_t draw = 0;
  const bool is_int8 = program.inputs[0].type.dtype == DType::kS8;
  if (is_int8)
    for (int8_t& x : session.input_as<int8_t>(0))
      x = static_cast<int8_t>(random.below(draw++, 255) - 128);
  else
    for (float& x : session.input_as<float>(0)) x = random.uniform(draw++);
  session.run();
  const auto bytes = session.output(0);
  return {bytes.begin(), bytes.end()};
}

void compare_all(bool is_int8, uint64_t nets) {
  int regions = 0, smaller = 0;
  for (uint64_t seed = 1; seed <= nets; ++seed) {
    const RandomNet net(seed, is_int8);
    PlanOptions options{.exact = true, .placement_rounds = 0};
    const Result<Program> whole = build_program(net.graph.clone(), options);
    ASSERT_TRUE(whole.ok()) << whole.status().message();
    const std::vector<std::byte> expected = answer_of(*whole);
    for (const StripeRegion& region : stripe_regions(net.graph))
      for (int64_t n = 2; n <= region.rows; n += 1 + n) {
        Graph graph = net.graph.clone();
        const Status done = compute_in_stripes(graph, region, n);
        ASSERT_TRUE(done.ok()) << done.message();
        ASSERT_TRUE(verify(graph).ok()) << verify(graph).message();
        EXPECT_EQ(stripes_of(graph), n);
        const Result<Program> parts = build_program(std::move(graph), options);
        ASSERT_TRUE(parts.ok()) << parts.status().message();
        EXPECT_EQ(answer_of(*parts), expected)
            << "seed " << seed << " to node " << region.end << ", " << n;
        EXPECT_GE(parts->macs, whole->macs);
        smaller += parts->arena_bytes < whole->arena_bytes;
        ++regions;
      }
    options.stripes = PlanOptions::kLeastRam;
    const Result<Program> least = build_program(net.graph.clone(), options);
    ASSERT_TRUE(least.ok());
    EXPECT_LE(least->ram_bytes(), whole->ram_bytes());
    EXPECT_EQ(answer_of(*least), expected);
  }
  EXPECT_GT(regions, 12);
  EXPECT_GT(smaller, 5);
}

TEST(Stripes, AreTheSameBitsInFloat) { compare_all(false, 8); }
TEST(Stripes, AreTheSameBitsInInt8) { compare_all(true, 3); }

// The first layer's output is read again behind the region that it begins.
TEST(Stripes, TakeNoRegionOfWhatIsNeededLater) {
  Graph graph;
  const ValueId x = graph.add_input("x", f32({1, 8, 8, 4}));
  const ValueId w =
      graph.add_owned(ValueKind::kConstant, "w", f32({4, 3, 3, 4}),
                      std::vector<float>(144, 0.5f));
  const ValueId a = *append(graph, ops::kConv2d, {x, w});
  const ValueId b = *append(graph, ops::kConv2d, {a, w});
  const ValueId c = *append(graph, ops::kConv2d, {b, w});
  graph.outputs = {c};
  EXPECT_EQ(stripe_regions(graph).size(), 2u);
  graph.outputs = {c, a};
  EXPECT_TRUE(stripe_regions(graph).empty());
  graph.outputs = {c};
  const StripeRegion region{2, b, 4};
  EXPECT_FALSE(compute_in_stripes(graph, region, 5).ok());
  EXPECT_FALSE(compute_in_stripes(graph, region, 1).ok());
}

}  // namespace
}  // namespace ft
