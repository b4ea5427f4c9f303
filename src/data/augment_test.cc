#include "data/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "data/test_files.h"

namespace ft {
namespace {

// One feature sample of 6 rows x 2, and a second one.
Dataset rows_data() {
  Dataset data;
  data.feature_size = 12;
  data.feature_shape = {6, 2};
  for (int i = 0; i < 24; ++i) data.features.push_back(static_cast<float>(i));
  data.sample_names = {"a", "b"};
  return data;
}

Dataset audio_data(size_t clip = 1000) {
  Dataset data;
  data.front_end.kind = FrontEnd::Kind::kAudio;
  data.front_end.mfcc.clip_samples = static_cast<int32_t>(clip);
  data.front_end.mfcc.normalize = FT_AUDIO_AS_IS;
  data.feature_size = clip;
  data.feature_shape = {static_cast<int64_t>(clip)};
  data.audio = {std::vector<float>(clip / 2)};
  for (size_t i = 0; i < clip / 2; ++i)
    data.audio[0][i] = std::sin(static_cast<float>(i));
  data.features = data.audio[0];
  data.features.resize(clip);
  data.sample_names = {"a"};
  return data;
}

std::vector<float> vary(const Dataset& data, const char* text, uint64_t seed,
                        size_t sample, uint64_t epoch) {
  auto features = AugmentedFeatures::make(data, *parse_augment(text), seed);
  EXPECT_TRUE(features.ok()) << features.status().message();
  std::vector<float> out(data.feature_size);
  features->features(sample, epoch, out);
  return out;
}

TEST(Augment, ParsesAndPrints) {
  for (const char* text :
       {"none", "noise=10:30", "shift=0.25", "noise=-5:5,shift=0.1"})
    EXPECT_EQ(to_string(*parse_augment(text)), text);
  EXPECT_EQ(to_string(*parse_augment("noise=20")), "noise=20:20");
  for (const char* bad :
       {"", "noise", "noise=30:10", "noise=a", "noise=1:", "shift=2",
        "shift=-1", "shift=nan", "pitch=1", "noise=1,", "noise=0:1000"})
    EXPECT_FALSE(parse_augment(bad).ok()) << bad;
}

TEST(Augment, NothingToVaryGivesTheDataItself) {
  const Dataset data = rows_data();
  const std::vector<float> out = vary(data, "none", 1, 1, 7);
  EXPECT_TRUE(std::equal(out.begin(), out.end(), data.feature(1).begin()));
}

TEST(Augment, FunctionOfSeedSampleAndEpochOnly) {
  for (const Dataset& data : {rows_data(), audio_data()}) {
    const char* text = "noise=10:20,shift=0.3";
    const std::vector<float> a = vary(data, text, 1, 0, 3);
    EXPECT_EQ(vary(data, text, 1, 0, 3), a);
    EXPECT_NE(vary(data, text, 1, 0, 4), a);
    EXPECT_NE(vary(data, text, 2, 0, 3), a);
    // Earlier calls leave no trace.
    auto features = AugmentedFeatures::make(data, *parse_augment(text), 1);
    std::vector<float> out(data.feature_size);
    for (const uint64_t epoch : {9, 0, 3}) features->features(0, epoch, out);
    EXPECT_EQ(out, a);
  }
}

TEST(Augment, NoiseHasTheAskedPower) {
  const Dataset data = audio_data(20000);
  const std::vector<float> out = vary(data, "noise=20", 5, 0, 0);
  double signal = 0, noise = 0;
  for (const float x : data.audio[0]) signal += double{x} * x;
  signal /= static_cast<double>(data.audio[0].size());
  for (size_t i = 0; i < out.size(); ++i)
    noise += std::pow(double{out[i]} - data.features[i], 2);
  noise /= static_cast<double>(out.size());
  EXPECT_NEAR(10 * std::log10(signal / noise), 20, 0.3);
}

TEST(Augment, ShiftMovesWholeRowsAndRepeatsTheEdge) {
  const Dataset data = rows_data();
  bool earlier = false, later = false;
  for (uint64_t epoch = 0; epoch < 50; ++epoch) {
    const std::vector<float> out = vary(data, "shift=0.5", 1, 0, epoch);
    // Row 0 of the source is {0, 1}; find how far row 3 has come.
    const int shift = 3 - static_cast<int>(out[6]) / 2;
    ASSERT_LE(std::abs(shift), 3);
    for (int r = 0; r < 6; ++r) {
      const int from = std::clamp(r - shift, 0, 5);
      ASSERT_EQ(out[size_t(2 * r)], static_cast<float>(2 * from));
      ASSERT_EQ(out[size_t(2 * r + 1)], static_cast<float>(2 * from + 1));
    }
    earlier |= shift < 0;
    later |= shift > 0;
  }
  EXPECT_TRUE(earlier && later);
}

TEST(Augment, ShiftedAudioIsFilledWithSilence) {
  const Dataset data = audio_data(100);
  for (uint64_t epoch = 0; epoch < 50; ++epoch) {
    const std::vector<float> out = vary(data, "shift=1", 1, 0, epoch);
    // Some shift s explains every sample.
    bool explained = false;
    for (int s = -100; s <= 100 && !explained; ++s) {
      explained = true;
      for (int i = 0; i < 100 && explained; ++i) {
        const int from = i - s;
        const float want = from >= 0 && from < 100
                               ? data.features[static_cast<size_t>(from)]
                               : 0.0f;
        explained = out[static_cast<size_t>(i)] == want;
      }
    }
    EXPECT_TRUE(explained) << epoch;
  }
}

TEST(Augment, AudioMustHaveBeenKept) {
  Dataset data = audio_data();
  data.audio.clear();
  EXPECT_ERROR_HAS(AugmentedFeatures::make(data, *parse_augment("noise=9"), 1),
                   "keeps its audio");
  EXPECT_TRUE(AugmentedFeatures::make(data, {}, 1).ok());
}

}  // namespace
}  // namespace ft
