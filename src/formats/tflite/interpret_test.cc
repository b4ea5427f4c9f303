// What imported graphs compute, on numbers worked out by hand. The comparison
// with LiteRT is tests/python/test_import_oracle.py.
#include "formats/tflite/interpret.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "formats/tflite/import.h"
#include "formats/tflite/test_model.h"

namespace ft {
namespace {

using testing::TestModel;
using Op = tfl::BuiltinOperator;

std::vector<float> run_f32(const std::vector<std::byte>& file,
                           const std::vector<float>& x) {
  const Result<TfliteModel> model = import_tflite(file);
  EXPECT_TRUE(model.ok()) << model.status().message();
  if (!model.ok()) return {};
  const auto bytes = std::as_bytes(std::span(x));
  const auto y = interpret(model->graph, {{bytes.begin(), bytes.end()}});
  EXPECT_TRUE(y.ok()) << y.status().message();
  if (!y.ok()) return {};
  std::vector<float> out((*y)[0].size() / sizeof(float));
  std::memcpy(out.data(), (*y)[0].data(), (*y)[0].size());
  return out;
}

TEST(Interpret, FullyConnectedAndRelu) {
  TestModel m;
  const int x = m.add_f32("x", {1, 3});
  const int w = m.add_f32_weights("w", {2, 3});  // -0.6 -0.5 ... -0.1
  const int y = m.add_f32("y", {1, 2});
  tfl::FullyConnectedOptionsT options;
  options.fused_activation_function = tfl::ActivationFunctionType::RELU;
  m.op(Op::FULLY_CONNECTED, {x, w}, {y}, options);
  const auto out = run_f32(m.build({x}, {y}), {-1, 0, 2});
  ASSERT_EQ(out.size(), 2u);
  EXPECT_FLOAT_EQ(out[0], 0);        // 0.6 - 0.8
  EXPECT_NEAR(out[1], 0.1f, 1e-6f);  // 0.3 - 0.2
}

TEST(Interpret, PreluIsComposed) {
  TestModel m;
  const int x = m.add_f32("x", {1, 2});
  const int alpha = m.add_f32_weights("alpha", {2});  // -0.6 -0.5
  const int y = m.add_f32("y", {1, 2});
  m.op(Op::PRELU, {x, alpha}, {y}).builtin_options.Reset();
  const auto out = run_f32(m.build({x}, {y}), {-2, 3});
  ASSERT_EQ(out.size(), 2u);
  EXPECT_NEAR(out[0], 1.2f, 1e-6f);
  EXPECT_FLOAT_EQ(out[1], 3);
}

TEST(Interpret, PackThenUnpack) {
  TestModel m;
  const int x = m.add_f32("x", {2, 2});
  const int both = m.add_f32("both", {2, 3, 2});
  const int a = m.add_f32("a", {2, 2});
  const int b = m.add_f32("b", {2, 2});
  const int c = m.add_f32("c", {2, 2});
  const int sum = m.add_f32("sum", {2, 2});
  const int negated = m.add_f32("negated", {2, 2});
  m.op(Op::NEG, {x}, {negated}, tfl::NegOptionsT{});
  tfl::PackOptionsT pack;
  pack.axis = 1;
  pack.values_count = 3;
  m.op(Op::PACK, {x, negated, x}, {both}, pack);
  tfl::UnpackOptionsT unpack;
  unpack.axis = -2;
  unpack.num = 3;
  m.op(Op::UNPACK, {both}, {a, b, c}, unpack);
  m.op(Op::SUB, {a, b}, {sum}, tfl::SubOptionsT{});
  const auto out = run_f32(m.build({x}, {sum}), {1, 2, 3, 4});
  EXPECT_EQ(out, (std::vector<float>{2, 4, 6, 8}));
}

TEST(Interpret, SmallInt8ModelGivesProbabilities) {
  const auto file = testing::small_int8_model();
  const auto model = import_tflite(file);
  ASSERT_TRUE(model.ok()) << model.status().message();
  std::vector<std::byte> x(60);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::byte>(i * 41);
  const auto y = interpret(model->graph, {x});
  ASSERT_TRUE(y.ok()) << y.status().message();
  int sum = 0;
  for (const std::byte b : (*y)[0]) sum += static_cast<int8_t>(b) + 128;
  EXPECT_NEAR(sum, 256, 3);
}

}  // namespace
}  // namespace ft
