#include "data/front_end.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/test_files.h"
#include "data/wav.h"

namespace ft {
namespace {

std::string round_trip(const FrontEnd& f) {
  const auto again = front_end_from_toml(to_toml(f), "stored");
  EXPECT_TRUE(again.ok()) << again.status().message();
  return again.ok() ? to_toml(*again) : "";
}

TEST(FrontEnd, PresetsAndTheirCanonicalText) {
  for (const char* name : {"mlperf-kws", "raw", "none", "unit-image"}) {
    const auto f = load_front_end(name);
    ASSERT_TRUE(f.ok()) << name;
    EXPECT_EQ(round_trip(*f), to_toml(*f));
  }
  const auto kws = load_front_end("mlperf-kws");
  EXPECT_TRUE(kws->takes_audio());
  EXPECT_EQ(audio_feature_shape(*kws), (std::vector<int64_t>{49, 10}));
  EXPECT_EQ(to_toml(*load_front_end("raw")), to_toml(*load_front_end("none")));
  EXPECT_ERROR_HAS(load_front_end("mlperf-kwz"), "mlperf-kwz");
}

TEST(FrontEnd, TomlFileSetsEveryKindsKeys) {
  const TempFolder folder;
  const std::string path = folder.at("f.toml");
  ASSERT_TRUE(write_file_atomically(path,
                                    "kind = \"mfcc\"\nsample_rate = 8000\n"
                                    "mel_high_hz = 3999.5\n"
                                    "normalize = \"none\"\n")
                  .ok());
  const auto mfcc = load_front_end(path);
  ASSERT_TRUE(mfcc.ok()) << mfcc.status().message();
  EXPECT_EQ(mfcc->mfcc.sample_rate, 8000);
  EXPECT_EQ(mfcc->mfcc.mel_high_hz, 3999.5f);
  EXPECT_EQ(mfcc->mfcc.normalize, FT_AUDIO_AS_IS);
  EXPECT_EQ(mfcc->mfcc.coefficients, 10);
  EXPECT_EQ(round_trip(*mfcc), to_toml(*mfcc));
  const auto windows = front_end_from_toml(
      "kind = 'windows'\nhistory = 96\nhorizon = 24\ncolumns = ['a\"\\ "
      "\u00e9']\n"
      "targets = ['OT']\nmean = [0.1, 2]\nsd = [1e-9, 3]\n",
      "w.toml");
  ASSERT_TRUE(windows.ok()) << windows.status().message();
  EXPECT_EQ(windows->windows.columns.front(), "a\"\\ \u00e9");
  EXPECT_EQ(windows->windows.sd, (std::vector<float>{1e-9f, 3}));
  EXPECT_EQ(round_trip(*windows), to_toml(*windows));
  const auto array =
      front_end_from_toml("kind = 'array'\nscale = 0.1\noffset = -128", "a");
  EXPECT_EQ(array->scale, 0.1f);
  EXPECT_EQ(array->offset, -128.0f);
  EXPECT_EQ(round_trip(*array), to_toml(*array));
  const auto audio =
      front_end_from_toml("kind = 'audio'\nclip_samples = 100", "a");
  EXPECT_EQ(audio_feature_shape(*audio), std::vector<int64_t>{100});
  EXPECT_EQ(round_trip(*audio), to_toml(*audio));
}

TEST(FrontEnd, ErrorsNameFileAndLine) {
  const auto expect = [](std::string_view part, std::string_view text) {
    EXPECT_ERROR_HAS(front_end_from_toml(text, "f.toml"), part);
  };
  expect("f.toml:2:", "kind = \"mfcc\"\nfft_size = \n");
  expect("f.toml:1: 'kind' must be", "kind = 'fbank'");
  expect("f.toml:1: 'kind' must be", "");
  expect("f.toml:2: 'kind' must be text", "\nkind = 7");
  expect("f.toml:3: unknown key 'frame_sample'",
         "kind = 'mfcc'\n\nframe_sample = 1");
  expect("f.toml:2: fft_size must be a power of two",
         "kind = 'mfcc'\nfft_size = 500");
  expect("f.toml:2: 'mel_low_hz' must be a number",
         "kind = 'mfcc'\nmel_low_hz = '20'");
  expect("f.toml:2: 'hop_samples' must be a whole number",
         "kind = 'mfcc'\nhop_samples = 1.5");
  expect("must be at most 2147483647",
         "kind = 'mfcc'\nclip_samples = 99999999999999");
  expect("f.toml:2: 'normalize' must be", "kind = 'mfcc'\nnormalize = 'l2'");
  expect("f.toml:2: 'scale' must be a number", "kind = 'array'\nscale = nan");
  expect("clip_samples must be", "kind = 'audio'\nclip_samples = 0");
  expect("history must be", "kind = 'windows'");
  expect("f.toml:3: sd must be",
         "kind = 'windows'\nhistory = 1\nsd = [0.0]\n"
         "mean = [0.0]\ncolumns = ['a']");
  expect("mean and sd", "kind = 'windows'\nhistory = 1\nmean = [1.0]");
  expect("'columns' must be a list of texts",
         "kind = 'windows'\nhistory = 1\ncolumns = [1]");
}

TEST(FeatureExtractor, WaveformIsScaledPaddedAndCut) {
  FrontEnd f = *front_end_from_toml("kind = 'audio'\nclip_samples = 4", "a");
  FeatureExtractor extractor(f);
  std::vector<float> out(4);
  extractor.run(std::vector<float>{0.25f, -0.5f}, out);
  EXPECT_EQ(out, (std::vector<float>{1, -2, 0, 0}));
  extractor.run(std::vector<float>{0.5f, 0.25f, 0, 0, 9}, out);
  EXPECT_EQ(out, (std::vector<float>{1, 0.5f, 0, 0}));
}

// tests/golden holds what TensorFlow computed (tools/make_mfcc_golden.py).
TEST(FeatureExtractor, EqualsTensorFlowOnRealSpeech) {
  for (const std::string word : {"yes", "no"}) {
    const std::string path =
        real_data("speech_samples/" + word + "_1000ms.wav");
    FT_SKIP_WITHOUT(path);
    const auto audio = read_audio(path);
    ASSERT_TRUE(audio.ok()) << audio.status().message();
    ASSERT_EQ(audio->sample_rate, 16000);
    FeatureExtractor extractor(*load_front_end("mlperf-kws"));
    std::vector<float> got(490);
    extractor.run(audio->samples, got);
    const auto file =
        MappedFile::open(FT_SOURCE_DIR "/tests/golden/" + word + "_mfcc.npy");
    ASSERT_TRUE(file.ok()) << file.status().message();
    const auto golden = parse_npy(file->bytes());
    ASSERT_TRUE(golden.ok());
    const std::vector<float> want = npy_floats(*golden);
    ASSERT_EQ(want.size(), got.size());
    float worst = 0;
    for (size_t i = 0; i < got.size(); ++i)
      worst = std::max(worst, std::abs(got[i] - want[i]));
    std::printf("%s: largest difference %.2g\n", word.c_str(), worst);
    EXPECT_LT(worst, 1e-4f);
  }
}

}  // namespace
}  // namespace ft
