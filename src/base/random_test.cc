#include "base/random.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/philox.h"

namespace ft {
namespace {

// Known answers of the Random123 distribution for philox4x32-10:
// counter and key all zero, and all ones.
TEST(Philox, KnownAnswers) {
  const ft_philox_block zero = ft_philox(0, 0, 0);
  EXPECT_EQ(zero.word[0], 0x6627e8d5u);
  EXPECT_EQ(zero.word[1], 0xe169c58du);
  EXPECT_EQ(zero.word[2], 0xbc57ac4cu);
  EXPECT_EQ(zero.word[3], 0x9b00dbd8u);
  const ft_philox_block ones = ft_philox(~0ull, ~0ull, ~0ull);
  EXPECT_EQ(ones.word[0], 0x408f276du);
  EXPECT_EQ(ones.word[1], 0x41c83b0eu);
  EXPECT_EQ(ones.word[2], 0xa20bc7c6u);
  EXPECT_EQ(ones.word[3], 0x6d5451fdu);
}

TEST(Random, StreamsAreIndependentOfEachOther) {
  const Random a(7, "a"), b(7, "b");
  EXPECT_NE(a.bits(0), b.bits(0));
  EXPECT_EQ(a.bits(5), Random(7, "a").bits(5));
}

TEST(Random, MomentsOfUniformAndNormal) {
  const Random random(1, "moments");
  constexpr int kDraws = 100'000;
  double uniform_sum = 0, normal_sum = 0, normal_squares = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double u = random.uniform(i), z = random.normal(i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    uniform_sum += u;
    normal_sum += z;
    normal_squares += z * z;
  }
  EXPECT_NEAR(uniform_sum / kDraws, 0.5, 0.01);
  EXPECT_NEAR(normal_sum / kDraws, 0.0, 0.02);
  EXPECT_NEAR(normal_squares / kDraws, 1.0, 0.02);
}

}  // namespace
}  // namespace ft
