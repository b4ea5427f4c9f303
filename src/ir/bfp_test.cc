#include "ir/bfp.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ft {
namespace {

TEST(Bfp, KeepsWhatItMade) {
  const std::vector<int16_t> mantissas = {1, -20000, 17, 32767, 0, -32767};
  for (const int exponent : {-40, -15, 0, 7}) {
    const std::vector<float> real = from_bfp(mantissas, exponent);
    const BfpValues again = to_bfp(real);
    EXPECT_EQ(again.exponent, exponent);
    EXPECT_EQ(again.mantissas, mantissas);
  }
  // Small mantissas move up; the numbers stay.
  const std::vector<float> real = from_bfp(std::vector<int16_t>{3, -9}, -4);
  const BfpValues moved = to_bfp(real);
  EXPECT_EQ(moved.exponent, -15);
  EXPECT_EQ(from_bfp(moved.mantissas, moved.exponent), real);
}

TEST(Bfp, RoundsToHalfAStepOfTheLargest) {
  const std::vector<float> real = {0.7f, -0.123456f, 1e-9f};
  const BfpValues bfp = to_bfp(real);
  const std::vector<float> back = from_bfp(bfp.mantissas, bfp.exponent);
  for (size_t i = 0; i < real.size(); ++i)
    EXPECT_LE(std::fabs(back[i] - real[i]), 0.5f / 32768);
  // The very largest below a power of two rounds up past the range.
  EXPECT_EQ(to_bfp(std::vector<float>{0.99999f}).mantissas[0], 16384);
}

TEST(Bfp, GivesZerosRoomForAFirstStep) {
  const BfpValues bfp = to_bfp(std::vector<float>{0, 0});
  EXPECT_EQ(bfp.mantissas, (std::vector<int16_t>{0, 0}));
  EXPECT_EQ(std::ldexp(32768.0, bfp.exponent), 1.0 / 64);
}

}  // namespace
}  // namespace ft
