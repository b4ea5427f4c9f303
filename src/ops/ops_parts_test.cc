// Calls in parts: every row of every op that says how its calls may be divided
// leaves the bits of the whole call, for all its examples and numbers of parts.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "ops/every_op.h"
#include "ops/updates_input.h"

namespace ft {
namespace {

class OpParts : public EveryOp {};

using Bytes = std::vector<std::byte>;

// A run of one row over an example, from the same inputs each time.
class DividedRun {
 public:
  DividedRun(const OpDef& op, const OpExample& example, const KernelDef& row,
             ExampleOptions options)
      : op_(op), example_(example), row_(row), options_(options) {}

  // What int32 [1] that the op updates hold before: predictions.
  int32_t predicted = 0;

  // How the row divides the call; one unit where it does not take it.
  Division division() const {
    const auto made = build_example(op_, example_, options_);
    if (!made.ok()) return {};
    const LowerContext context = made->context();
    Lowered lowered;
    if (row_.run == nullptr || (row_.available && !row_.available()) ||
        row_.signature != signature_of(context.view) ||
        !op_.lower(context, lowered).ok() ||
        (row_.accepts != nullptr && !row_.accepts(context, lowered)))
      return {};
    return division_of(row_, context.view, lowered);
  }

  // Output 0 has as many bytes as the input that it may take the place of.
  bool may_be_in_place() const {
    if (op_.inplace_input == kNone) return false;
    const auto made = prepared();
    const NodeView view = made.context().view;
    return view.out(0).num_bytes() ==
           view.in(static_cast<size_t>(op_.inplace_input)).num_bytes();
  }

  // All that the call writes. `part_units` 0: the whole call.
  std::vector<Bytes> results(int64_t part_units, bool in_place) const {
    auto made = prepared();
    std::vector<Bytes> all;
    const Status status =
        run_row(made.context(), row_, made.values, in_place, part_units);
    EXPECT_TRUE(status.ok()) << status.message();
    std::vector<ValueId> written = made.node().outputs;
    for (size_t i = 0; i < made.node().inputs.size(); ++i)
      if (updates_input(op_, i)) written.push_back(made.node().inputs[i]);
    if (in_place)
      written[0] = made.node().inputs[static_cast<size_t>(op_.inplace_input)];
    for (const ValueId v : written) {
      if (v == kNone) continue;
      const auto bytes = made.values[static_cast<size_t>(v)].bytes();
      all.emplace_back(bytes.begin(), bytes.end());
    }
    return all;
  }

  // Output 0 over the input that it may lie over; empty: over none.
  Bytes overlapping(int64_t part_units) const {
    auto made = prepared();
    auto got = run_overlapping(made.context(), row_, made.values, part_units);
    EXPECT_TRUE(got.ok()) << got.status().message();
    return got.ok() ? std::move(*got) : Bytes{};
  }

 private:
  Example prepared() const {
    auto made = build_example(op_, example_, options_);
    EXPECT_TRUE(made.ok()) << made.status().message();
    for (const ValueId v : made->node().inputs) {
      if (v == kNone || made->graph.value(v).kind != ValueKind::kState)
        continue;
      const TensorType& type = made->graph.value(v).type;
      if (type.dtype == DType::kS32 && type.shape.num_elements() == 1)
        made->values[static_cast<size_t>(v)].as<int32_t>()[0] = predicted;
    }
    return std::move(*made);
  }

  const OpDef& op_;
  const OpExample& example_;
  const KernelDef& row_;
  ExampleOptions options_;
};

// Units of a part: for 2 to 6 parts, and as few as there can be.
std::set<int64_t> part_sizes(const Division& d) {
  std::set<int64_t> sizes{d.grain};
  for (int64_t parts = 2; parts <= 6; ++parts) {
    const int64_t units = (d.units + parts - 1) / parts;
    sizes.insert((units + d.grain - 1) / d.grain * d.grain);
  }
  return sizes;
}

// How many divisions were compared.
int compare(const OpDef& op, DividedRun& run) {
  const Division d = run.division();
  if (d.units <= d.grain) return 0;
  int compared = 0;
  for (const int32_t predicted : {-4, 2, 7, 12, 20}) {
    if (op.mutates == 0 && predicted != -4) continue;
    run.predicted = predicted;
    const auto whole = run.results(0, false);
    const Bytes over = op.overlap ? run.overlapping(0) : Bytes{};
    for (const int64_t units : part_sizes(d)) {
      SCOPED_TRACE(fmt::format("{} of {} units, predicted {}", units, d.units,
                               predicted));
      EXPECT_EQ(run.results(units, false), whole);
      if (run.may_be_in_place()) {
        EXPECT_EQ(run.results(units, true), whole);
      }
      if (!over.empty()) {
        EXPECT_EQ(run.overlapping(units), over);
      }
      ++compared;
    }
  }
  return compared;
}

TEST_P(OpParts, LeaveTheBitsOfTheWholeCall) {
  if (op().divide == nullptr) return;
  int compared = 0;
  for_each_example([&](const OpExample& example) {
    for (const KernelDef& row : op().kernels)
      for (const bool constants : {false, true})
        for (const int64_t overwrites : {0, 1}) {
          OpExample changed = example;
          if (overwrites != 0) {
            if (!op().name.ends_with("_input_grad") ||
                !op().name.starts_with("bfp_") || op().overlap == nullptr)
              continue;
            changed.attrs.set("overwrites", overwrites);
          }
          SCOPED_TRACE(row.symbol);
          DividedRun run(op(), changed, row,
                         {.seed = test_seed(), .constants = constants});
          compared += compare(op(), run);
        }
  });
  EXPECT_GT(compared, 0) << "no example of " << op().name << " is divided";
}

FT_FOR_EVERY_OP(OpParts);

}  // namespace
}  // namespace ft
