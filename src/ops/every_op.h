// Test support: the fixture of the generic tests. Each test runs once for every
// op in all_ops() and walks all of its examples. FT_TEST_SEED replays a seed.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "ops/all_ops.h"
#include "ops/example_graph.h"

namespace ft {

inline uint64_t test_seed() {
  static const uint64_t seed = [] {
    const char* text = std::getenv("FT_TEST_SEED");
    const uint64_t value = text ? std::strtoull(text, nullptr, 10) : 20240607;
    std::printf("FT_TEST_SEED=%llu\n", static_cast<unsigned long long>(value));
    return value;
  }();
  return seed;
}

class EveryOp : public ::testing::TestWithParam<const OpDef*> {
 protected:
  const OpDef& op() const { return *GetParam(); }

  // Calls `test` for each example under a trace that says which one it is.
  void for_each_example(const std::function<void(const OpExample&)>& test) {
    ASSERT_NE(op().examples, nullptr) << op().name << " has no examples";
    const std::vector<OpExample> all = op().examples();
    ASSERT_FALSE(all.empty()) << op().name << " has no examples";
    for (size_t i = 0; i < all.size(); ++i) {
      std::string text = fmt::format("{} example {} {} {}", op().name, i,
                                     all[i].attrs.to_string(), all[i].note);
      for (const TensorType& type : all[i].inputs)
        text += " " + type.to_string();
      SCOPED_TRACE(text);
      test(all[i]);
    }
  }
};

// All inputs and outputs are floats, but for positions: only such examples
// have a float64 twin.
inline bool is_float_example(const Example& example) {
  const NodeView view = example.context().view;
  for (size_t i = 0; i < view.num_inputs(); ++i)
    if (view.has(i) && view.in(i).dtype != DType::kF32 &&
        view.in(i).dtype != DType::kS32)
      return false;
  for (const TensorType* type : view.outputs)
    if (type->dtype != DType::kF32) return false;
  return true;
}

#define FT_FOR_EVERY_OP(suite)                                           \
  INSTANTIATE_TEST_SUITE_P(                                              \
      Ops, suite,                                                        \
      ::testing::ValuesIn(ops::all_ops().begin(), ops::all_ops().end()), \
      [](const auto& info) { return std::string(info.param->name); })

}  // namespace ft
