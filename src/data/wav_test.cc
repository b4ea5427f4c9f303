#include "data/wav.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numbers>

#include "base/random.h"
#include "data/test_files.h"

namespace ft {
namespace {

std::vector<int16_t> tone(double hz, int rate, size_t samples) {
  std::vector<int16_t> out(samples);
  for (size_t i = 0; i < samples; ++i)
    out[i] = static_cast<int16_t>(
        std::lround(16384 * std::sin(2 * std::numbers::pi * hz *
                                     static_cast<double>(i) / rate)));
  return out;
}

TEST(Wav, ReadsMonoSamplesExactly) {
  const TempFolder folder;
  const std::vector<int16_t> samples = {0, 16384, -32768, 32767};
  write_wav(folder.at("a.wav"), 8000, 1, samples);
  const auto audio = read_audio(folder.at("a.wav"));
  ASSERT_TRUE(audio.ok()) << audio.status().message();
  EXPECT_EQ(audio->sample_rate, 8000);
  EXPECT_EQ(audio->samples,
            (std::vector<float>{0.0f, 0.5f, -1.0f, 32767.0f / 32768.0f}));
}

TEST(Wav, RefusesBadFilesNamingThem) {
  const TempFolder folder;
  write_wav(folder.at("stereo.wav"), 8000, 2, std::vector<int16_t>(20));
  EXPECT_ERROR_HAS(read_audio(folder.at("stereo.wav")),
                   "stereo.wav' has 2 channels");
  write_wav(folder.at("empty.wav"), 8000, 1, {});
  EXPECT_ERROR_HAS(read_audio(folder.at("empty.wav")),
                   "empty.wav' has 0 samples");
  ASSERT_TRUE(write_file_atomically(folder.at("text.wav"), "hello").ok());
  EXPECT_ERROR_HAS(read_audio(folder.at("text.wav")), "text.wav'");
  EXPECT_ERROR_HAS(read_audio(folder.at("absent.wav")), "absent.wav'");
}

TEST(Wav, KnowsAudioNames) {
  EXPECT_TRUE(is_audio_name("a.wav"));
  EXPECT_TRUE(is_audio_name("A.B.WAV"));
  EXPECT_TRUE(is_audio_name("a.flac"));
  EXPECT_FALSE(is_audio_name("wav"));
  EXPECT_FALSE(is_audio_name("notes.txt"));
}

TEST(Wav, ResamplingKeepsATone) {
  const TempFolder folder;
  write_wav(folder.at("a.wav"), 8000, 1, tone(440, 8000, 4000));
  const auto audio = read_audio(folder.at("a.wav"));
  ASSERT_TRUE(audio.ok());
  const auto twice = resample(*audio, 16000);
  ASSERT_TRUE(twice.ok());
  EXPECT_NEAR(static_cast<double>(twice->size()), 8000, 1);
  for (size_t i = 500; i < 7000; ++i)
    ASSERT_NEAR((*twice)[i],
                0.5 * std::sin(2 * std::numbers::pi * 440 *
                               static_cast<double>(i) / 16000),
                1e-3);
  EXPECT_EQ(*resample(*audio, 8000), audio->samples);
  EXPECT_ERROR_HAS(resample(*audio, 8000 * 300), "cannot resample");
  EXPECT_ERROR_HAS(resample(*audio, 0), "cannot resample");
}

// Any damage gives samples or a message.
TEST(Wav, MutatedFilesGiveSamplesOrAnError) {
  constexpr uint64_t kSeed = 5;
  std::printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  const Random random(kSeed, "wav mutations");
  const TempFolder folder;
  const std::string path = folder.at("m.wav");
  write_wav(path, 16000, 1, tone(300, 16000, 64));
  const std::string original = read_text_file(path).value();
  for (uint64_t round = 0; round < 1000; ++round) {
    std::string bytes = original;
    const auto at = random.below(2 * round, 44);
    bytes[at] = static_cast<char>(random.bits(2 * round + 1));
    if (round % 4 == 0) bytes.resize(random.below(2 * round + 1, 170));
    std::ofstream(path, std::ios::binary) << bytes;
    const auto audio = read_audio(path);
    if (audio.ok())
      EXPECT_FALSE(audio->samples.empty());
    else
      EXPECT_NE(audio.status().message().find(path), std::string::npos);
  }
}

}  // namespace
}  // namespace ft
