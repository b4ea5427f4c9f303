// Requantization by lines against the reference, sum by sum.
#include "kernels/quant/requant_lines.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "base/random.h"
#include "kernels/quant/fixed_point.h"

namespace ft {
namespace {

constexpr uint64_t kSeed = 11;

class Draws {
 public:
  int32_t between(int32_t low, int32_t high) {
    const int64_t span = int64_t{high} - low + 1;
    return static_cast<int32_t>(
        low + int64_t{random_.below(n_++, static_cast<uint32_t>(span))});
  }

 private:
  Random random_{kSeed, "requant_lines_test"};
  uint64_t n_ = 0;
};

int32_t reference(const ft_requant& r, int32_t acc) {
  const int32_t q = r.rounds_once
                        ? ft_requantize_once(acc, r.multiplier, r.shift)
                        : ft_requantize(acc, r.multiplier, r.shift);
  return std::clamp(q + r.zero_point, r.q_low, r.q_high);
}

int32_t by_lines(const ft_requant& r, const ft_requant_lines& lines,
                 int32_t acc) {
  return std::clamp(ft_requant_line_at(&lines, acc - lines.center), r.q_low,
                    r.q_high);
}

ft_requant random_requant(Draws& d, int32_t right) {
  ft_requant r{};
  r.multiplier = d.between(1 << 30, INT32_MAX);
  r.shift = -right;
  r.rounds_once = d.between(0, 1);
  const bool relu = d.between(0, 1) == 1;
  r.zero_point = relu ? -128 : d.between(-128, 127);
  r.q_low = relu ? -128 : d.between(-128, r.zero_point);
  r.q_high = d.between(std::max(r.q_low, r.zero_point), 127);
  // Sums that leave the output's range on both sides, on one, or on none.
  const int32_t wide = 600 << right;
  r.least = d.between(-wide, d.between(0, 1) == 1 ? 0 : wide);
  r.most = d.between(static_cast<int32_t>(r.least), wide);
  return r;
}

TEST(RequantLines, EqualTheReferenceOnEverySum) {
  std::printf("seed %d\n", static_cast<int>(kSeed));
  Draws d;
  for (int32_t right = 0; right <= 10; ++right) {
    for (int round = 0; round < 12; ++round) {
      const ft_requant r = random_requant(d, right);
      ft_requant_lines lines{};
      ASSERT_TRUE(ft_find_requant_lines(&r, &lines))
          << r.multiplier << " " << right << " " << r.zero_point;
      const auto least = static_cast<int32_t>(r.least);
      const auto most = static_cast<int32_t>(r.most);
      // Above 2^16 sums, a sample of a third.
      const int32_t step = most - least > 65536 ? 3 : 1;
      for (int32_t acc = least; acc <= most; acc += step)
        ASSERT_EQ(by_lines(r, lines, acc), reference(r, acc))
            << "sum " << acc << " of " << least << " to " << most
            << ", multiplier " << r.multiplier << ", shift " << r.shift
            << ", zero point " << r.zero_point;
    }
  }
}

TEST(RequantLines, EqualTheReferenceAtTheEndsOfLongRanges) {
  Draws d;
  int found = 0;
  for (int round = 0; round < 60; ++round) {
    ft_requant r = random_requant(d, 8);
    r.shift = -d.between(8, 31);
    r.least = -d.between(1, 1 << 30);
    r.most = d.between(1, 1 << 30);
    ft_requant_lines lines{};
    if (!ft_find_requant_lines(&r, &lines)) continue;
    ++found;
    const auto least = static_cast<int32_t>(r.least);
    const auto most = static_cast<int32_t>(r.most);
    for (int i = 0; i < 2000; ++i)
      for (const int32_t acc :
           {least + i, most - i, d.between(least, most), i - 1000}) {
        if (acc < least || acc > most) continue;
        ASSERT_EQ(by_lines(r, lines, acc), reference(r, acc)) << acc;
      }
  }
  EXPECT_GT(found, 20);
}

// Below zero all sums give the same: there are no halves to tell apart.
TEST(RequantLines, OneLineIsEnoughForRelu) {
  Draws d;
  for (int32_t right = 1; right <= 8; ++right) {
    ft_requant r = random_requant(d, right);
    r.zero_point = r.q_low = -128;
    r.q_high = 127;
    ft_requant_lines lines{};
    ASSERT_TRUE(ft_find_requant_lines(&r, &lines));
    EXPECT_EQ(lines.scale[0], lines.scale[1]) << right;
    EXPECT_EQ(lines.offset[0], lines.offset[1]) << right;
  }
}

TEST(RequantLines, RefusesWhatLinesCannotGive) {
  const ft_requant good{.multiplier = 1 << 30,
                        .shift = -6,
                        .rounds_once = 0,
                        .zero_point = 0,
                        .q_low = -128,
                        .q_high = 127,
                        .least = -1000000,
                        .most = 1000000};
  ft_requant_lines lines{};
  EXPECT_TRUE(ft_find_requant_lines(&good, &lines));
  ft_requant r = good;
  r.shift = 1;
  EXPECT_FALSE(ft_find_requant_lines(&r, &lines)) << "shifts wrap";
  r = good;
  r.multiplier = 0;
  EXPECT_FALSE(ft_find_requant_lines(&r, &lines)) << "no scale";
  r = good;
  r.most = int64_t{1} << 31;
  EXPECT_FALSE(ft_find_requant_lines(&r, &lines)) << "sums wrap";
  r = good;
  r.zero_point = 127;
  r.q_high = 100;
  EXPECT_FALSE(ft_find_requant_lines(&r, &lines)) << "zero is cut off";
}

}  // namespace
}  // namespace ft
