// Tables of hostile quantizers. That ordinary ones equal LiteRT's is shown by
// tests/python/test_op_oracle_elementwise.py.
#include "ops/unary_table.h"

#include <gtest/gtest.h>

#include <cfloat>

#include "kernels/unary/unary.h"

namespace ft::ops {
namespace {

TEST(UnaryTable, SurvivesAnyPositiveScale) {
  for (int32_t kind = FT_UNARY_RELU; kind <= FT_UNARY_ELU; ++kind) {
    if (!has_int8_form(kind)) continue;
    for (const float x : {FLT_TRUE_MIN, FLT_MIN, 1.0f, FLT_MAX})
      for (const float y : {FLT_TRUE_MIN, FLT_MIN, 1.0f, FLT_MAX}) {
        const auto table =
            unary_table(kind, 0.5f, QuantParams::per_tensor(x, 127),
                        QuantParams::per_tensor(y, 127));
        // Only hard-swish refuses scales.
        EXPECT_TRUE(table.ok() || kind == FT_UNARY_HARD_SWISH)
            << table.status().message();
      }
  }
}

TEST(UnaryTable, ReluOfOneQuantizerKeepsWhatIsAboveZero) {
  const QuantParams q = QuantParams::per_tensor(0.1f, -3);
  const auto table = unary_table(FT_UNARY_RELU, 0, q, q);
  ASSERT_TRUE(table.ok());
  for (int v = -128; v < 128; ++v)
    EXPECT_EQ(table.value()[static_cast<size_t>(v + 128)], v < -3 ? -3 : v);
}

TEST(UnaryTable, HardSwishRefusesATooFineOutput) {
  const auto table =
      unary_table(FT_UNARY_HARD_SWISH, 0, QuantParams::per_tensor(1, 0),
                  QuantParams::per_tensor(1e-4f, 0));
  ASSERT_FALSE(table.ok());
  EXPECT_NE(table.status().message().find("0.0001"), std::string::npos);
}

}  // namespace
}  // namespace ft::ops
