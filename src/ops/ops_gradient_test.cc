// Every op's gradient rule against central differences in double precision.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ops/all_ops.h"
#include "ops/every_op.h"
#include "ops/gradient.h"
#include "ops/print.h"
#include "ops/verify.h"

namespace ft {
namespace {

class OpGradient : public EveryOp {};

// Gradients that are meant to differ from the function's own, which is a
// staircase: tests/python/test_fake_quantize.py has them against PyTorch's.
bool is_straight_through(const OpDef& op) {
  return &op == &ops::kFakeQuantize || &op == &ops::kMinmaxQuantizer ||
         &op == &ops::kRoundFloat;
}

// The op's node, random gradients of some of its outputs as graph inputs, and
// the nodes of its gradient rule.
struct Differentiated {
  Example example;
  std::vector<ValueId> output_grads;  // kNone: not used
  std::vector<ValueId> input_grads;
  std::vector<bool> needs_grad;
};

Result<Differentiated> differentiate(const OpDef& op, const OpExample& example,
                                     DType real, size_t used_outputs) {
  FT_TRY(Example made,
         build_example(op, example, {.seed = test_seed(), .real = real}));
  Differentiated d{std::move(made), {}, {}, {}};
  Graph& graph = d.example.graph;
  const Node node = d.example.node();
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const Shape shape = graph.value(node.outputs[i]).type.shape;
    d.output_grads.push_back(
        i < used_outputs
            ? graph.add_input(fmt::format("dy{}", i),
                              {.dtype = real, .shape = shape, .quant = {}})
            : kNone);
  }
  for (const ValueId id : node.inputs)
    d.needs_grad.push_back(id != kNone &&
                           graph.value(id).type.dtype != DType::kS32);
  GradientBuilder builder(graph, node, d.output_grads, d.needs_grad);
  op.gradient(builder);
  FT_TRY_STATUS(builder.status());
  d.input_grads = builder.input_grads();
  fill_missing(graph, d.example.values, {}, test_seed());
  return d;
}

// sum(output_grads * outputs) of the forward node alone.
double weighted_sum(Differentiated& d) {
  const LowerContext context = d.example.context();
  Buffers& values = d.example.values;
  if (context.node.op->is_view) {
    values[static_cast<size_t>(context.node.outputs[0])].assign(
        values[static_cast<size_t>(context.node.inputs[0])].bytes());
  } else {
    Lowered lowered;
    EXPECT_TRUE(context.node.op->lower(context, lowered).ok());
    const KernelDef* row = c99_row(context, lowered);
    EXPECT_NE(row, nullptr);
    EXPECT_TRUE(run_row(context, *row, values).ok());
  }
  double sum = 0;
  for (size_t i = 0; i < d.output_grads.size(); ++i) {
    if (d.output_grads[i] == kNone) continue;
    const auto y =
        values[static_cast<size_t>(context.node.outputs[i])].as<double>();
    const auto dy = values[static_cast<size_t>(d.output_grads[i])].as<double>();
    for (size_t k = 0; k < y.size(); ++k) sum += y[k] * dy[k];
  }
  return sum;
}

struct Difference {
  double slope;
  bool has_kink;  // the slopes to the left and right disagree
};

// Central difference with respect to element k of `x`.
Difference difference_at(Differentiated& d, std::span<double> x, size_t k) {
  constexpr double kStep = 1e-5;
  const double here = x[k], middle = weighted_sum(d);
  x[k] = here + kStep;
  const double right = weighted_sum(d);
  x[k] = here - kStep;
  const double left = weighted_sum(d);
  x[k] = here;
  const double slope = (right - left) / (2 * kStep);
  const double bend = std::fabs(right - 2 * middle + left) / kStep;
  return {slope, bend > 1e-3 * std::max(1.0, std::fabs(slope))};
}

// The rule's gradient of input i against finite differences.
void check_gradient(Differentiated& d, size_t i) {
  const Node node = d.example.node();
  const auto x =
      d.example.values[static_cast<size_t>(node.inputs[i])].as<double>();
  std::vector<double> rule(x.size(), 0.0);
  if (d.input_grads[i] != kNone) {
    const auto dx =
        d.example.values[static_cast<size_t>(d.input_grads[i])].as<double>();
    ASSERT_EQ(dx.size(), x.size()) << "gradient of input " << i;
    rule.assign(dx.begin(), dx.end());
  }
  double largest = 1e-2, worst = 0;
  size_t kinks = 0, worst_at = 0;
  for (size_t k = 0; k < x.size(); ++k) {
    const Difference numeric = difference_at(d, x, k);
    kinks += numeric.has_kink;
    if (numeric.has_kink) continue;
    largest = std::max(largest, std::fabs(numeric.slope));
    const double off = std::fabs(numeric.slope - rule[k]);
    if (!(off <= worst)) worst_at = k;
    if (!(off <= worst)) worst = off;
  }
  EXPECT_LE(worst / largest, 1e-6)
      << "gradient of input " << i << " at element " << worst_at << ": rule "
      << rule[worst_at] << ", difference "
      << difference_at(d, x, worst_at).slope;
  EXPECT_LE(kinks * 10, x.size()) << "input " << i << " is all kinks";
}

TEST_P(OpGradient, GradientEqualsFiniteDifferences) {
  if (op().gradient == nullptr || is_straight_through(op())) return;
  for_each_example([&](const OpExample& example) {
    const auto made = build_example(op(), example, {.seed = test_seed()});
    ASSERT_TRUE(made.ok()) << made.status().message();
    if (!is_float_example(made.value())) return;
    const size_t num_outputs = made.value().node().outputs.size();
    for (const size_t used : std::set<size_t>{1, num_outputs}) {
      auto d = differentiate(op(), example, DType::kF64, used);
      ASSERT_TRUE(d.ok()) << d.status().message();
      const Graph& graph = d.value().example.graph;
      Status status = verify(graph);
      ASSERT_TRUE(status.ok()) << status.message() << print_graph(graph);
      status = evaluate(graph, d.value().example.values);
      ASSERT_TRUE(status.ok()) << status.message() << print_graph(graph);
      for (size_t i = 0; i < d.value().needs_grad.size(); ++i)
        if (d.value().needs_grad[i]) check_gradient(d.value(), i);
    }
  });
}

// Where int8 takes part the rule is straight-through, so that differences say
// nothing; it must still give a finite float gradient of the input's shape.
TEST_P(OpGradient, GradientRunsOnEveryExample) {
  if (op().gradient == nullptr) return;
  for_each_example([&](const OpExample& example) {
    const auto made = build_example(op(), example, {.seed = test_seed()});
    ASSERT_TRUE(made.ok()) << made.status().message();
    for (const TensorType* type : made.value().context().view.outputs)
      if (type->dtype != DType::kF32 && type->dtype != DType::kS8) return;
    auto d = differentiate(op(), example, DType::kF32,
                           made.value().node().outputs.size());
    ASSERT_TRUE(d.ok()) << d.status().message();
    Graph& graph = d.value().example.graph;
    Buffers& values = d.value().example.values;
    Status status = verify(graph);
    ASSERT_TRUE(status.ok()) << status.message() << print_graph(graph);
    status = evaluate(graph, values);
    ASSERT_TRUE(status.ok()) << status.message() << print_graph(graph);
    for (size_t i = 0; i < d.value().needs_grad.size(); ++i) {
      const ValueId dx = d.value().input_grads[i];
      if (dx == kNone) continue;
      EXPECT_EQ(graph.value(dx).type.dtype, DType::kF32) << "input " << i;
      EXPECT_EQ(graph.value(dx).type.shape,
                graph.value(graph.node(0).inputs[i]).type.shape)
          << "input " << i;
      for (const float v : values[static_cast<size_t>(dx)].as<float>())
        ASSERT_TRUE(std::isfinite(v)) << "input " << i << " gets " << v;
    }
  });
}

FT_FOR_EVERY_OP(OpGradient);

}  // namespace
}  // namespace ft
