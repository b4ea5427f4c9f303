#include "passes/fuse_gradient_sums.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/random.h"
#include "ops/all_ops.h"
#include "ops/append.h"
#include "ops/bfp_common.h"
#include "ops/example_graph.h"
#include "ops/linear_examples.h"

namespace ft {
namespace {

using ops::bfp_type, ops::exponent_type;

// A layer 8 -> 6 with a side of rank 2: x gets a gradient from each. With a
// third, `more` sums.
struct Step {
  Graph graph;
  std::array<ValueId, 5> in = {};  // dy, dh, their exponents, A's
  ValueId a = kNone, predicted = kNone, sum = kNone, exponent = kNone;
};

Step make_step(bool predicts, bool s8_last) {
  Step s;
  Graph& g = s.graph;
  const Attrs image{{"in_h", 5}, {"in_w", 4}, {"groups", 1}};
  s.in = {g.add_input("dy", bfp_type({1, 5, 4, 6}, 1.25f)),
          g.add_input("dh", bfp_type({1, 5, 4, 2}, 1.9f)),
          g.add_input("dy_exp", exponent_type()),
          g.add_input("dh_exp", exponent_type()),
          g.add_input("a_exp", exponent_type())};
  const ValueId w = g.add_input("w", s8_per_channel({6, 1, 1, 8}, 0));
  s.a = g.add_input("a", bfp_type({2, 1, 1, 8}, 1.1f));
  if (predicts) s.predicted = g.add_input("predicted", exponent_type());
  const auto layer = [&] {
    return *append_node(
        g, ops::kBfpConv2dInputGrad,
        {s.in[0], s.in[2], w, kNone, s8_last ? s.predicted : kNone}, image);
  };
  const auto side = [&] {
    return *append_node(
        g, ops::kBfpConv2dInputGrad,
        {s.in[1], s.in[3], s.a, s.in[4], s8_last ? kNone : s.predicted}, image);
  };
  const auto first = s8_last ? side() : layer();
  const auto second = s8_last ? layer() : side();
  const auto sum =
      *append_node(g, ops::kBfpAdd, {first[0], first[1], second[0], second[1]});
  s.sum = sum[0];
  s.exponent = sum[1];
  g.outputs = sum;
  return s;
}

// Mantissas of up to `bits` bits.
void fill(const Random& random, int bits, std::span<int16_t> values) {
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<int16_t>(
        (static_cast<int>(random.below(i, 65536)) - 32768) >> (16 - bits));
}

struct Made {
  std::vector<int16_t> sum;
  int32_t exponent, predicted;
  bool operator==(const Made&) const = default;
};

Made run(Step& s, uint64_t seed) {
  Buffers values;
  fill_missing(s.graph, values, {}, seed);
  const Random random(seed, "case");
  const auto at = [&](ValueId v) -> GuardedBuffer& {
    return values[static_cast<size_t>(v)];
  };
  fill(Random(seed, "dy"), static_cast<int>(random.below(0, 17)),
       at(s.in[0]).as<int16_t>());
  fill(Random(seed, "dh"), static_cast<int>(random.below(1, 17)),
       at(s.in[1]).as<int16_t>());
  fill(Random(seed, "a"), static_cast<int>(random.below(2, 17)),
       at(s.a).as<int16_t>());
  for (size_t i = 2; i < s.in.size(); ++i)
    at(s.in[i]).as<int32_t>()[0] =
        static_cast<int32_t>(random.below(i + 1, 41)) - 20;
  if (s.predicted != kNone)
    at(s.predicted).as<int32_t>()[0] =
        static_cast<int32_t>(random.below(9, 30)) - 4;
  EXPECT_TRUE(evaluate(s.graph, values).ok());
  const auto sum = at(s.sum).as<int16_t>();
  return {{sum.begin(), sum.end()},
          at(s.exponent).as<int32_t>()[0],
          s.predicted == kNone ? 0 : at(s.predicted).as<int32_t>()[0]};
}

TEST(FuseGradientSums, KeepsEveryBit) {
  for (const bool predicts : {false, true})
    for (const bool s8_last : {false, true}) {
      Step apart = make_step(predicts, s8_last);
      Step fused = make_step(predicts, s8_last);
      fuse_gradient_sums(fused.graph);
      ASSERT_EQ(fused.graph.num_nodes(), 2);
      for (uint64_t seed = 0; seed < 400; ++seed)
        ASSERT_EQ(run(fused, seed), run(apart, seed)) << seed;
    }
}

TEST(FuseGradientSums, KeepsAGradientThatOthersReadToo) {
  Step s = make_step(false, false);
  s.graph.outputs.push_back(s.graph.node(1).outputs[0]);
  fuse_gradient_sums(s.graph);
  EXPECT_EQ(s.graph.num_nodes(), 3);
}

TEST(FuseGradientSums, KeepsASumWhoseAddendIsReadLater) {
  Step s = make_step(false, false);
  const std::vector<ValueId> first = s.graph.node(0).outputs;
  s.graph.outputs = *append_node(s.graph, ops::kBfpAdd,
                                 {first[0], first[1], s.sum, s.exponent});
  fuse_gradient_sums(s.graph);
  EXPECT_EQ(s.graph.num_nodes(), 4);
}

}  // namespace
}  // namespace ft
