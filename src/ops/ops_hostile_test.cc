// Every op under wrong shapes, dtypes, quantizers and attributes, as an
// untrusted model file may hold them: refused with a sentence, or run within
// bounds.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ops/append.h"
#include "ops/checks.h"
#include "ops/every_op.h"

namespace ft {
namespace {

class OpHostile : public EveryOp {};

bool is_absent(const OpExample& example, size_t i) {
  return std::ranges::count(example.absent, static_cast<int>(i)) > 0;
}

bool is_small(const Graph& graph) {
  int64_t bytes = 0;
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    const Shape& shape = graph.value(id).type.shape;
    const int64_t count = checked_count(shape.dims());
    EXPECT_GE(count, 0) << "accepted the shape " << shape.to_string();
    bytes += count * 8;
    if (count < 0 || bytes > 1 << 20) return false;
  }
  return true;
}

// What is not refused must be runnable without touching foreign memory.
// Returns whether the op refused.
bool try_hostile(const OpDef& op, const OpExample& hostile) {
  Graph graph;
  std::vector<ValueId> ids;
  for (size_t i = 0; i < hostile.inputs.size(); ++i) {
    const bool absent =
        std::ranges::count(hostile.absent, static_cast<int>(i)) > 0;
    ids.push_back(
        absent ? kNone
               : graph.add_input(fmt::format("in{}", i), hostile.inputs[i]));
  }
  const auto outputs = append_node(graph, op, ids, hostile.attrs,
                                   {.out_quant = hostile.out_quant});
  if (!outputs.ok()) {
    EXPECT_EQ(outputs.status().code(), Code::kInvalidInput);
    EXPECT_NE(outputs.status().message().find(op.name), std::string::npos)
        << outputs.status().message();
    return true;
  }
  if (!is_small(graph) || op.is_view) return false;
  auto made = build_example(op, hostile, {.seed = test_seed()});
  EXPECT_TRUE(made.ok());
  const LowerContext context = made.value().context();
  Lowered lowered;
  if (!op.lower(context, lowered).ok()) return true;
  const KernelDef* row = c99_row(context, lowered);
  if (row == nullptr) return true;  // no kernel: refused when planning
  const Status status = run_row(context, *row, made.value().values);
  EXPECT_TRUE(status.ok()) << status.message();
  return false;
}

TEST_P(OpHostile, RefusesMissingAndSurplusInputs) {
  for_each_example([&](const OpExample& example) {
    for (int i = 0; i < op().min_inputs; ++i) {
      OpExample hostile = example;
      hostile.absent.push_back(i);
      EXPECT_TRUE(try_hostile(op(), hostile)) << "without input " << i;
    }
    OpExample hostile = example;
    hostile.inputs.resize(static_cast<size_t>(op().max_inputs) + 1,
                          example.inputs[0]);
    EXPECT_TRUE(try_hostile(op(), hostile)) << "surplus inputs";
  });
}

TEST_P(OpHostile, RefusesHugeInputs) {
  for_each_example([&](const OpExample& example) {
    OpExample hostile = example;
    for (TensorType& type : hostile.inputs) {
      std::vector<int64_t> dims(
          std::max<size_t>(2, static_cast<size_t>(type.shape.rank())),
          int64_t{1} << 31);
      type.shape = Shape(dims);
    }
    EXPECT_TRUE(try_hostile(op(), hostile));
  });
}

std::vector<Shape> hostile_shapes(const Shape& shape) {
  std::vector<Shape> all;
  const std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
  for (size_t d = 0; d < dims.size(); ++d)
    for (const int64_t dim : {dims[d] + 1, dims[d] - 1, int64_t{0}, int64_t{-1},
                              int64_t{1} << 31, INT64_MAX}) {
      std::vector<int64_t> changed = dims;
      changed[d] = dim;
      all.push_back(Shape(changed));
    }
  std::vector<int64_t> longer = dims, shorter = dims;
  longer.push_back(3);
  all.push_back(Shape(longer));
  if (!shorter.empty()) shorter.pop_back();
  all.push_back(Shape(shorter));
  all.push_back(Shape{});
  all.push_back(Shape{2, 1, 1, 1, 1, 1, 1, 3});
  return all;
}

TEST_P(OpHostile, SurvivesWrongShapes) {
  for_each_example([&](const OpExample& example) {
    for (size_t i = 0; i < example.inputs.size(); ++i) {
      if (is_absent(example, i)) continue;
      for (const Shape& shape : hostile_shapes(example.inputs[i].shape)) {
        OpExample hostile = example;
        hostile.inputs[i].shape = shape;
        SCOPED_TRACE(fmt::format("input {} as {}", i, shape.to_string()));
        const bool refused = try_hostile(op(), hostile);
        const int64_t count = checked_count(shape.dims());
        EXPECT_TRUE(refused || count >= 0);
      }
    }
  });
}

TEST_P(OpHostile, SurvivesWrongDtypesAndQuantizers) {
  for_each_example([&](const OpExample& example) {
    for (size_t i = 0; i < example.inputs.size(); ++i) {
      if (is_absent(example, i)) continue;
      for (const DType dtype : {DType::kF32, DType::kF64, DType::kS8,
                                DType::kU8, DType::kS32, DType::kBool}) {
        for (const int scales : {0, 1, 3}) {
          OpExample hostile = example;
          QuantParams quant{.scale = std::vector<float>(size_t(scales), 0.1f),
                            .zero_point = std::vector<int32_t>(size_t(scales)),
                            .quantized_dimension = scales};
          hostile.inputs[i].dtype = dtype;
          hostile.inputs[i].quant = quant;
          SCOPED_TRACE(fmt::format("input {} as {} with {} scales", i,
                                   name_of(dtype), scales));
          const bool refused = try_hostile(op(), hostile);
          EXPECT_TRUE(refused || dtype != DType::kS8 || scales > 0);
        }
      }
    }
  });
}

std::vector<Attr> hostile_values(const Attr& attr) {
  constexpr int64_t kInts[] = {-1,      0,         1,         7, INT32_MAX,
                               1 << 16, INT64_MIN, INT64_MAX, 3};
  std::vector<Attr> all;
  if (std::holds_alternative<int64_t>(attr))
    for (const int64_t v : kInts)
      all.emplace_back(std::in_place_type<int64_t>, v);
  if (std::holds_alternative<double>(attr))
    for (const double v : {0.0, -1.0, 1e300, double{INFINITY}, double{NAN}})
      all.emplace_back(std::in_place_type<double>, v);
  if (std::holds_alternative<std::string>(attr))
    all.emplace_back(std::in_place_type<std::string>, "nonsense");
  if (const auto* ints = std::get_if<std::vector<int64_t>>(&attr)) {
    for (size_t i = 0; i < ints->size(); ++i)
      for (const int64_t v : kInts) {
        std::vector<int64_t> changed = *ints;
        changed[i] = v;
        all.emplace_back(changed);
      }
    all.emplace_back(std::vector<int64_t>{});
    all.emplace_back(std::vector<int64_t>(20, 1));
  }
  return all;
}

TEST_P(OpHostile, SurvivesWrongAttributes) {
  for_each_example([&](const OpExample& example) {
    for (const auto& [name, attr] : example.attrs.all()) {
      for (const Attr& value : hostile_values(attr)) {
        OpExample hostile = example;
        hostile.attrs.set(name, value);
        SCOPED_TRACE(hostile.attrs.to_string());
        const bool refused = try_hostile(op(), hostile);
        EXPECT_TRUE(refused || !std::holds_alternative<std::string>(attr));
      }
    }
  });
}

FT_FOR_EVERY_OP(OpHostile);

}  // namespace
}  // namespace ft
