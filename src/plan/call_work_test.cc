#include "plan/call_work.h"

#include <gtest/gtest.h>

#include <tuple>

#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

const TensorType kF32{.dtype = DType::kF32, .shape = {}, .quant = {}};

TensorType f32(Shape shape) {
  TensorType type = kF32;
  type.shape = std::move(shape);
  return type;
}

struct Geometry {
  int64_t image, window;
  int stride, dilation, before, after;
};

int64_t steps_of(const Geometry& g) {
  return (g.image + g.before + g.after - ((g.window - 1) * g.dilation + 1)) /
             g.stride +
         1;
}

// Places of the window inside of the image, one by one.
int64_t inside(const Geometry& g) {
  int64_t count = 0;
  for (int64_t out = 0; out < steps_of(g); ++out)
    for (int64_t k = 0; k < g.window; ++k)
      for (int64_t x = 0; x < g.image; ++x)
        count += out * g.stride + k * g.dilation == x + g.before;
  return count;
}

Attrs attrs_of(const Geometry& h, const Geometry& w) {
  return {{"stride_h", h.stride},     {"stride_w", w.stride},
          {"dilation_h", h.dilation}, {"dilation_w", w.dilation},
          {"pad_top", h.before},      {"pad_bottom", h.after},
          {"pad_left", w.before},     {"pad_right", w.after}};
}

const Geometry kAxes[] = {{7, 3, 1, 1, 1, 1}, {8, 3, 2, 1, 0, 1},
                          {5, 1, 1, 1, 0, 0}, {3, 3, 1, 1, 1, 1},
                          {9, 2, 1, 3, 2, 2}, {6, 5, 3, 1, 2, 2}};

TEST(CallWork, CountsProductsInsideOfTheImage) {
  for (const Geometry& h : kAxes)
    for (const Geometry& w : kAxes) {
      Graph graph;
      const ValueId x = graph.add_input("x", f32({2, h.image, w.image, 4}));
      const ValueId k = graph.add_input("w", f32({6, h.window, w.window, 4}));
      const ValueId d = graph.add_input("d", f32({1, h.window, w.window, 4}));
      ASSERT_TRUE(append(graph, ops::kConv2d, {x, k}, attrs_of(h, w)).ok());
      ASSERT_TRUE(
          append(graph, ops::kDepthwiseConv2d, {x, d}, attrs_of(h, w)).ok());
      const CallWork conv = work_of(view_of(graph, graph.node(0)));
      const CallWork depthwise = work_of(view_of(graph, graph.node(1)));
      const auto in = static_cast<double>(2 * inside(h) * inside(w) * 4);
      const auto all = static_cast<double>(2 * steps_of(h) * h.window *
                                           steps_of(w) * w.window * 4);
      EXPECT_NEAR(conv.macs, 6 * in, 1e-6);
      EXPECT_NEAR(conv.macs + conv.outside, 6 * all, 1e-6);
      EXPECT_NEAR(depthwise.macs, in, 1e-6);
      EXPECT_NEAR(depthwise.outside, all - in, 1e-6);
      EXPECT_NEAR(conv.blocks, 6 * in / 4, 1e-6);
    }
}

// The same products, seen from the gradients.
TEST(CallWork, CountsThemInGradientsToo) {
  const Geometry h{7, 3, 2, 1, 1, 1}, w{6, 3, 1, 1, 1, 1};
  Graph graph;
  const ValueId x = graph.add_input("x", f32({1, 7, 6, 4}));
  const ValueId k = graph.add_input("w", f32({5, 3, 3, 4}));
  const ValueId dy =
      graph.add_input("dy", f32({1, steps_of(h), steps_of(w), 5}));
  Attrs to_x = attrs_of(h, w), to_w = attrs_of(h, w);
  for (const auto& [name, size] : {std::tuple{"in_h", 7}, {"in_w", 6}})
    to_x.set(name, int64_t{size});
  for (const char* name : {"k_h", "k_w"}) to_w.set(name, int64_t{3});
  for (Attrs* attrs : {&to_x, &to_w}) attrs->set("groups", int64_t{1});
  ASSERT_TRUE(append(graph, ops::kConv2d, {x, k}, attrs_of(h, w)).ok());
  ASSERT_TRUE(append(graph, ops::kConv2dInputGrad, {dy, k}, to_x).ok());
  ASSERT_TRUE(append(graph, ops::kConv2dWeightGrad, {x, dy}, to_w).ok());
  const CallWork forward = work_of(view_of(graph, graph.node(0)));
  for (const NodeId n : {1, 2}) {
    const CallWork backward = work_of(view_of(graph, graph.node(n)));
    EXPECT_NEAR(backward.macs, forward.macs, 1e-6) << n;
    EXPECT_NEAR(backward.outside, forward.outside, 1e-6) << n;
  }
}

// A weight's gradient at batch 1 sums nothing.
TEST(CallWork, TellsOuterProductsFromSums) {
  Graph graph;
  const ValueId one = graph.add_input("one", f32({1, 6}));
  const ValueId dy = graph.add_input("dy", f32({1, 9}));
  const ValueId w = graph.add_input("w", f32({9, 6}));
  const auto of = [](int64_t trans_a) {
    return Attrs{{"trans_a", trans_a}, {"trans_b", int64_t{0}}};
  };
  ASSERT_TRUE(append(graph, ops::kMatmul, {dy, one}, of(1)).ok());
  ASSERT_TRUE(append(graph, ops::kMatmul, {dy, w}, of(0)).ok());
  EXPECT_EQ(variant_of(view_of(graph, graph.node(0))), ":outer");
  EXPECT_NE(variant_of(view_of(graph, graph.node(1))), ":outer");
}

}  // namespace
}  // namespace ft
