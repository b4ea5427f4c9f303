// Every op, generically: its examples follow its own rules, and every kernel
// row equals the C99 row that defines it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "ops/every_op.h"
#include "ops/example_types.h"
#include "ops/print.h"
#include "ops/updates_input.h"
#include "ops/verify.h"

namespace ft {
namespace {

class OpRows : public EveryOp {};

TEST_P(OpRows, IsFoundByItsNameAlone) {
  EXPECT_EQ(ops::find_op(op().name), &op());
  EXPECT_EQ(ops::find_op(std::string(op().name) + "?"), nullptr);
}

TEST_P(OpRows, ExamplesInferAndVerify) {
  for_each_example([&](const OpExample& example) {
    const auto made = build_example(op(), example, {.seed = test_seed()});
    ASSERT_TRUE(made.ok()) << made.status().message();
    const Status status = verify(made.value().graph);
    EXPECT_TRUE(status.ok()) << status.message() << "\n"
                             << print_graph(made.value().graph);
    if (op().macs == nullptr) return;
    EXPECT_GE(op().macs(made.value().context().view), 0);
  });
}

bool runs_here(const KernelDef& row) {
  return row.run != nullptr && (row.available == nullptr || row.available());
}

// The bytes that a run leaves: all outputs, then all inputs (some are updated).
using Outcome = std::vector<std::vector<std::byte>>;

Outcome outcome_of(const Example& example, bool in_place, const OpDef& op) {
  Outcome all;
  const Node& node = example.node();
  const auto add = [&](ValueId id) {
    const auto bytes = example.values[static_cast<size_t>(id)].bytes();
    all.emplace_back(bytes.begin(), bytes.end());
  };
  for (size_t i = 0; i < node.outputs.size(); ++i)
    add(in_place && i == 0 ? node.inputs[static_cast<size_t>(op.inplace_input)]
                           : node.outputs[i]);
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (updates_input(op, i) && node.inputs[i] != kNone) add(node.inputs[i]);
  return all;
}

std::vector<TensorType> types_of(const Example& example, const OpDef& op) {
  std::vector<TensorType> all;
  const Node& node = example.node();
  for (const ValueId id : node.outputs)
    all.push_back(example.graph.value(id).type);
  for (size_t i = 0; i < node.inputs.size(); ++i)
    if (updates_input(op, i) && node.inputs[i] != kNone)
      all.push_back(example.graph.value(node.inputs[i]).type);
  return all;
}

// Runs `row` on fresh values; frozen inputs must come out unchanged.
Outcome run_fresh(const OpDef& op, const OpExample& example,
                  const ExampleOptions& options, const KernelDef& row,
                  bool in_place) {
  auto made = build_example(op, example, options);
  const auto before = build_example(op, example, options);
  EXPECT_TRUE(made.ok() && before.ok());
  Example& e = made.value();
  const Status status = run_row(e.context(), row, e.values, in_place);
  EXPECT_TRUE(status.ok()) << status.message();
  for (size_t i = 0; i < e.node().inputs.size(); ++i) {
    const auto id = static_cast<size_t>(e.node().inputs[i]);
    const bool written = updates_input(op, i) ||
                         (in_place && static_cast<int>(i) == op.inplace_input);
    if (e.node().inputs[i] == kNone || written) continue;
    EXPECT_TRUE(std::ranges::equal(e.values[id].bytes(),
                                   before.value().values[id].bytes()))
        << row.symbol << " changes input " << i;
  }
  return outcome_of(e, in_place, op);
}

bool can_run_in_place(const OpDef& op, const Example& example) {
  if (op.inplace_input == kNone) return false;
  const auto i = static_cast<size_t>(op.inplace_input);
  const NodeView view = example.context().view;
  return view.has(i) && view.in(i).num_bytes() == view.out(0).num_bytes();
}

// `row` against the C99 row that defines the result. False: it does not take
// the example.
bool compare_rows(const OpDef& op, const OpExample& example,
                  const ExampleOptions& options, const KernelDef& row) {
  const auto made = build_example(op, example, options);
  EXPECT_TRUE(made.ok()) << made.status().message();
  const LowerContext context = made.value().context();
  Lowered lowered;
  const Status status = op.lower(context, lowered);
  EXPECT_TRUE(status.ok()) << status.message();
  const bool taken = row.accepts == nullptr || row.accepts(context, lowered);
  if (row.signature != signature_of(context.view) || !taken) return false;
  SCOPED_TRACE(row.symbol);
  const KernelDef* reference = c99_row(context, lowered);
  if (reference == nullptr) {
    ADD_FAILURE() << "no C99 row for " << row.signature;
    return true;
  }
  const std::vector<TensorType> types = types_of(made.value(), op);
  const Outcome expected = run_fresh(op, example, options, *reference, false);
  const Outcome got = run_fresh(op, example, options, row, false);
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_LE(relative_difference(types[i], got[i], expected[i]), row.tolerance)
        << "result " << i;
  if (!can_run_in_place(op, made.value())) return true;
  const Outcome in_place = run_fresh(op, example, options, row, true);
  for (size_t i = 0; i < got.size(); ++i)
    EXPECT_EQ(in_place[i], got[i]) << "in place, result " << i;
  return true;
}

// Examples that only rows for large products take; too large for the others.
std::vector<OpExample> large_examples(const OpDef& op) {
  if (&op != &ops::kMatmul) return {};
  std::vector<OpExample> all;
  for (const int trans_a : {0, 1})
    for (const int trans_b : {0, 1})
      all.push_back(
          {.inputs = {f32(trans_a ? Shape{272, 250} : Shape{250, 272}),
                      f32(trans_b ? Shape{261, 272} : Shape{272, 261})},
           .attrs = {
               {"trans_a", trans_a}, {"trans_b", trans_b}, {"alpha", 0.5}}});
  return all;
}

TEST_P(OpRows, RowsEqualTheC99Row) {
  if (op().is_view) {
    EXPECT_TRUE(op().kernels.empty()) << "a view needs no kernel";
    return;
  }
  ASSERT_NE(op().lower, nullptr);
  std::set<const KernelDef*> compared;
  for_each_example([&](const OpExample& example) {
    const auto made = build_example(op(), example, {.seed = test_seed()});
    ASSERT_TRUE(made.ok()) << made.status().message();
    Lowered lowered;
    const Status status = op().lower(made.value().context(), lowered);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_NE(c99_row(made.value().context(), lowered), nullptr)
        << "no C99 row for " << signature_of(made.value().context().view);
    for (const KernelDef& row : op().kernels) {
      if (!runs_here(row)) continue;
      const bool is_f64 = row.signature.find("f64") != std::string_view::npos;
      // An optimizer's step scalars are float32 beside float64 parameters.
      const bool has_f64 = is_float_example(made.value()) && op().mutates == 0;
      if (is_f64 && !has_f64) continue;
      const DType real = is_f64 ? DType::kF64 : DType::kF32;
      for (const bool constants : {false, true})
        for (uint64_t k = 0; k < 3; ++k)
          if (compare_rows(op(), example, {test_seed() + k, real, constants},
                           row))
            compared.insert(&row);
    }
  });
  for (const OpExample& example : large_examples(op()))
    for (const KernelDef& row : op().kernels)
      if (runs_here(row) &&
          compare_rows(op(), example, {.seed = test_seed()}, row))
        compared.insert(&row);
  // A fast row that no example reaches is a row without a test.
  for (const KernelDef& row : op().kernels)
    EXPECT_TRUE(row.isa == Isa::kC99 || !runs_here(row) ||
                compared.contains(&row))
        << "no example reaches " << row.symbol << " " << row.signature;
}

TEST_P(OpRows, RowsSayWhatTheyAre) {
  for (const KernelDef& row : op().kernels) {
    EXPECT_TRUE(row.symbol.starts_with("ft_")) << row.symbol;
    EXPECT_NE(row.symbol.find(fmt::format("_{}", name_of(row.isa))),
              std::string_view::npos)
        << row.symbol;
    if (row.isa == Isa::kC99) {
      EXPECT_EQ(row.tolerance, 0) << row.symbol << " is the definition";
    }
    if (row.signature.find('f') == std::string_view::npos) {
      EXPECT_EQ(row.tolerance, 0) << row.symbol << " computes integers";
    }
  }
}

FT_FOR_EVERY_OP(OpRows);

}  // namespace
}  // namespace ft
