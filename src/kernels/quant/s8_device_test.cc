// The constants and packed weights of microcontrollers' rows, decoded again.
#include "kernels/quant/s8_device.h"

#include <gtest/gtest.h>

#include <cstring>
#include <tuple>
#include <vector>

#include "base/random.h"
#include "kernels/fully_connected/device_finish.h"
#include "kernels/quant/fixed_point.h"
#include "kernels/quant/s8_lanes.h"
#include "kernels/quant/s8_pairs.h"

namespace ft {
namespace {

int8_t random_weight(const Random& random, uint64_t i) {
  return static_cast<int8_t>(static_cast<int>(random.below(i, 255)) - 127);
}

std::vector<int8_t> random_weights(size_t n, const char* stream) {
  const Random random(3, stream);
  std::vector<int8_t> w(n);
  for (size_t i = 0; i < n; ++i) w[i] = random_weight(random, i);
  return w;
}

// What the rows compute: SMMULR on twice the sum, then one shift.
int32_t plain_result(int32_t acc, const ft_device_channel& c) {
  const int64_t product = static_cast<int64_t>(acc) * 2 * c.multiplier;
  const auto high = static_cast<int32_t>((product + (int64_t{1} << 31)) >> 32);
  return (high + (high >> 31) + c.offset) >> c.right;
}

TEST(DeviceChannels, OneShiftGivesTheReferencesTwoRoundings) {
  const Random random(1, "requantize");
  uint64_t i = 0;
  for (int32_t right = 1; right <= 22; ++right) {
    const auto multiplier = static_cast<int32_t>(
        (uint32_t{1} << 30) + random.below(i++, uint32_t{1} << 30));
    const int32_t zero_point =
        static_cast<int32_t>(random.below(i++, 256)) - 128;
    const int32_t shift = -right, bias = 12345;
    const int8_t w = 1;
    const ft_device_layer layer{1, 7, zero_point, 1, 1, 1, 1, 0};
    std::vector<int32_t> bytes(ft_device_channels_bytes(1) / sizeof(int32_t));
    auto* made = reinterpret_cast<ft_device_channels*>(bytes.data());
    ft_device_set_channels(&layer, &w, &bias, &multiplier, &shift, made);
    ASSERT_EQ(made->is_plain, 1);
    const ft_device_channel& c = *ft_channel_list(made);
    EXPECT_EQ(c.init, bias - 7);
    for (int k = 0; k < 2000; ++k) {
      // Half of them near a tie.
      int32_t acc = static_cast<int32_t>(random.bits(i++)) >> (2 + k % 24);
      if (k % 2 == 0) acc = static_cast<int32_t>(acc & ~0u << (right % 20));
      EXPECT_EQ(plain_result(acc, c),
                ft_requantize(acc, multiplier, shift) + zero_point)
          << acc << " * " << multiplier << " >> " << right;
    }
  }
}

TEST(DeviceChannels, ShiftsToTheLeftAndHugeBiasesAreNotPlain) {
  const int8_t w = 1;
  const ft_device_layer layer{1, 0, 0, 1, 1, 1, 0, 0};
  const int32_t multiplier = 1 << 30;
  std::vector<int32_t> bytes(ft_device_channels_bytes(1) / sizeof(int32_t));
  auto* made = reinterpret_cast<ft_device_channels*>(bytes.data());
  for (const auto& [shift, bias] :
       {std::pair{0, 5}, {1, 5}, {-23, 5}, {-5, 1 << 30}}) {
    ft_device_set_channels(&layer, &w, &bias, &multiplier, &shift, made);
    EXPECT_EQ(made->is_plain, 0) << shift << " " << bias;
    EXPECT_EQ(ft_channel_list(made)->right, -shift);
  }
}

TEST(DeviceChannels, AChannelWithOneOutputIsPlainWhereNothingIsAdded) {
  const int8_t w[2] = {-3, 100};
  ft_device_layer layer{1, 5, -7, 2, 1, 2, 1, 0};
  const int32_t multiplier = (1 << 30) + 12345;
  std::vector<int32_t> bytes(ft_device_channels_bytes(1) / sizeof(int32_t));
  auto* made = reinterpret_cast<ft_device_channels*>(bytes.data());
  for (const auto& [shift, bias, is_plain] : {std::tuple{-26, 1 << 30, 1},
                                              {-26, -(1 << 30), 1},
                                              {-30, 77, 1},
                                              {-24, (1 << 30) + (1 << 24), 0},
                                              {-12, 1 << 30, 0}}) {
    ft_device_set_channels(&layer, w, &bias, &multiplier, &shift, made);
    ASSERT_EQ(made->is_plain, is_plain) << shift << " " << bias;
    const ft_device_channel& c = *ft_channel_list(made);
    for (int32_t x : {-128, -1, 0, 90, 127}) {
      const int32_t sum = w[0] * -x / 2 + w[1] * x;
      const int32_t acc = bias + sum - 5 * (w[0] + w[1]);
      const int32_t expected = ft_requantize(acc, multiplier, shift) - 7;
      if (is_plain != 0) {
        EXPECT_EQ(plain_result(sum + c.init, c), expected);
      }
    }
  }
  layer.is_fixed = 0;
  const int32_t shift = -26, bias = 1 << 30;
  ft_device_set_channels(&layer, w, &bias, &multiplier, &shift, made);
  EXPECT_EQ(made->is_plain, 0);
  EXPECT_EQ(ft_channel_list(made)->multiplier, multiplier);
}

TEST(DeviceChannels, RoundingOnceNeedsTheUpperHalfOnly) {
  const Random random(2, "once");
  uint64_t i = 0;
  for (int32_t right = 0; right <= 31; ++right)
    for (int k = 0; k < 2000; ++k) {
      // Multipliers and sums with many low zeros make ties.
      const int32_t multiplier = static_cast<int32_t>(
          (uint32_t{1} << 30) +
          (random.below(i++, uint32_t{1} << 30) & ~0u << (k % 31)));
      const int32_t acc = static_cast<int32_t>(
          static_cast<uint32_t>(random.bits(i++)) & ~0u << (k % 29));
      const ft_device_channel c{0, multiplier, 0, right};
      const auto clamped = [](int32_t q) { return ft_clamp_i32(q, -999, 999); };
      EXPECT_EQ(clamped(ft_device_requantize_once(acc, &c)),
                clamped(ft_requantize_once(acc, multiplier, -right)))
          << acc << " * " << multiplier << " >> " << right;
    }
}

TEST(Pairs, AHalfwordIsBothChannels) {
  constexpr int32_t kN = 5, kK = 11, kWide = 12;
  constexpr int32_t kOrder[4] = {0, 2, 1, 3};
  const auto w = random_weights(kN * kK, "pairs");
  const auto at = [&](int32_t c, int32_t k) {
    return c < kN && k < kK ? w[static_cast<size_t>(c * kK + k)] : 0;
  };
  ASSERT_NE(ft_can_pack_pairs(w.data(), kN, kK), 0);
  ASSERT_EQ(ft_pack_pairs_bytes(kN, kK), size_t{6 * kWide});
  std::vector<int16_t> packed(6 * kWide / 2);
  ft_pack_pairs(w.data(), kN, kK, reinterpret_cast<int8_t*>(packed.data()));
  size_t i = 0;
  for (int32_t c = 0; c < kN; c += 2)
    for (int32_t k = 0; k < kWide; ++k) {
      const int32_t source = k / 4 * 4 + kOrder[k % 4];
      EXPECT_EQ(packed[i++], 256 * at(c + 1, source) + at(c, source));
    }
}

TEST(Pairs, RefusesWhatItCannotExpress) {
  const int8_t bad[] = {-1, 5, -128, 5}, good[] = {1, 5, -128, 5};
  EXPECT_EQ(ft_can_pack_pairs(bad, 2, 2), 0);
  EXPECT_NE(ft_can_pack_pairs(good, 2, 2), 0);
}

TEST(DepthwiseWeights, AreHalfwordsInTheOrderOfSxtb16) {
  constexpr int32_t kTaps = 3, kChannels = 8;
  constexpr int32_t kOrder[4] = {0, 2, 1, 3};
  const auto w = random_weights(kTaps * kChannels, "depthwise");
  std::vector<int16_t> packed(w.size());
  ft_pack_depthwise_s16(w.data(), kTaps, kChannels, packed.data());
  size_t i = 0;
  for (int32_t c = 0; c < kChannels; c += 4)
    for (int32_t tap = 0; tap < kTaps; ++tap)
      for (const int32_t k : kOrder)
        EXPECT_EQ(packed[i++], w[static_cast<size_t>(tap * kChannels + c + k)]);
}

TEST(LaneBlocks, PutEachFourthChannelIntoOneVector) {
  std::vector<ft_device_channel> channels;
  for (int32_t c = 0; c < 20; ++c) channels.push_back({c, 100 + c, 200 + c, c});
  ASSERT_EQ(ft_lane_blocks_bytes(20), 2 * sizeof(ft_lane_block));
  std::vector<ft_lane_block> blocks(2);
  ft_set_lane_blocks(channels.data(), 20, blocks.data());
  EXPECT_EQ(blocks[0].init[1][2], 9);
  EXPECT_EQ(blocks[0].left[3][3], -15);
  EXPECT_EQ(blocks[1].multiplier[3][0], 119);
  EXPECT_EQ(blocks[1].offset[3][1], 0);  // no such channel
}

}  // namespace
}  // namespace ft
