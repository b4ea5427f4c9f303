#include "kernels/mfcc/mfcc.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "kernels/mfcc/fft.h"

namespace ft {
namespace {

constexpr uint64_t kSeed = 11;

std::vector<float> noise(size_t samples, float amplitude, uint64_t counter) {
  const Random random(kSeed, "mfcc_test");
  std::vector<float> audio(samples);
  for (float& x : audio) x = amplitude * random.normal(counter++);
  return audio;
}

std::vector<float> features_of(const ft_mfcc_config& config,
                               std::span<const float> audio) {
  std::vector<float> tables(ft_mfcc_table_floats(&config));
  std::vector<float> scratch(ft_mfcc_scratch_floats(&config));
  ft_mfcc mfcc;
  ft_mfcc_init(&config, tables.data(), &mfcc);
  std::vector<float> out(static_cast<size_t>(ft_mfcc_frames(&config)) *
                         static_cast<size_t>(config.coefficients));
  ft_mfcc_run(&mfcc, audio.data(), audio.size(), out.data(), scratch.data());
  return out;
}

TEST(Fft, CosineOfTurnsIsExactToTheLastBits) {
  for (const int64_t n : {1, 3, 8, 160, 480, 512})
    for (int64_t k = -2 * n; k <= 2 * n; ++k) {
      const double x = 2 * std::numbers::pi * static_cast<double>(k) /
                       static_cast<double>(n);
      ASSERT_NEAR(ft_cos_turns(k, n), std::cos(x), 4e-15) << k << "/" << n;
    }
  EXPECT_EQ(ft_cos_turns(1, 4), 0.0);
  EXPECT_EQ(ft_cos_turns(1, 2), -1.0);
}

TEST(Fft, MagnitudesMatchADirectFourierSumInDouble) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  for (const int n : {4, 8, 64, 512, 2048}) {
    const auto size = static_cast<size_t>(n);
    const std::vector<float> signal = noise(size, 1.0f, size);
    std::vector<float> work = signal, twiddle(size), got(size / 2 + 1);
    ft_fft_init(n, twiddle.data());
    ft_fft_magnitude(n, twiddle.data(), work.data(), got.data());
    for (size_t k = 0; k <= size / 2; ++k) {
      std::complex<double> sum = 0;
      for (size_t i = 0; i < size; ++i)
        sum += static_cast<double>(signal[i]) *
               std::polar(1.0, -2 * std::numbers::pi *
                                   static_cast<double>(k * i % size) / n);
      ASSERT_NEAR(got[k], std::abs(sum), 1e-6 * std::sqrt(n)) << n << " " << k;
    }
  }
}

// The same front end in double, from the definition: direct Fourier sum, full
// mel matrix.
std::vector<double> direct_mfcc(const ft_mfcc_config& c,
                                std::span<const float> audio) {
  const auto mel = [](double hz) { return 1127 * std::log(1 + hz / 700); };
  const int bins = c.fft_size / 2 + 1;
  const double low = mel(c.mel_low_hz), high = mel(c.mel_high_hz);
  const double step = (high - low) / (c.mel_bins + 1);
  std::vector<double> out;
  for (int t = 0; t < ft_mfcc_frames(&c); ++t) {
    std::vector<double> energy(static_cast<size_t>(c.mel_bins), c.log_floor);
    for (int k = 1; k < bins; ++k) {
      std::complex<double> sum = 0;
      for (int i = 0; i < c.frame_samples; ++i) {
        const auto at = static_cast<size_t>(t * c.hop_samples + i);
        const double turn = 2 * std::numbers::pi * i;
        const double w = 0.5 - 0.5 * std::cos(turn / c.frame_samples);
        if (at < audio.size())
          sum += w * audio[at] * std::polar(1.0, -turn * k / c.fft_size);
      }
      const double position = mel(1.0 * k * c.sample_rate / c.fft_size);
      for (int b = 0; b < c.mel_bins; ++b) {
        const double up = (position - low) / step - b;
        energy[static_cast<size_t>(b)] +=
            std::abs(sum) * std::max(0.0, std::min(up, 2 - up));
      }
    }
    for (int i = 0; i < c.coefficients; ++i) {
      double sum = 0;
      for (int j = 0; j < c.mel_bins; ++j)
        sum += std::log(energy[static_cast<size_t>(j)]) *
               std::cos(std::numbers::pi * i * (2 * j + 1) / (2 * c.mel_bins));
      out.push_back(sum * std::sqrt(2.0 / c.mel_bins));
    }
  }
  return out;
}

TEST(Mfcc, OtherSizesMatchTheDefinitionInDouble) {
  ft_mfcc_config c = ft_mfcc_mlperf_kws();
  c.normalize = FT_AUDIO_AS_IS;
  c.sample_rate = 8000;
  c.clip_samples = 700;
  c.frame_samples = 100;
  c.hop_samples = 128;
  c.fft_size = 128;
  c.mel_bins = 12;
  c.coefficients = 12;
  c.mel_low_hz = 0.0f;
  ASSERT_EQ(ft_mfcc_check(&c), nullptr);
  const std::vector<float> audio = noise(650, 0.3f, 0);
  const std::vector<float> got = features_of(c, audio);
  const std::vector<double> want = direct_mfcc(c, audio);
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 5e-5);
}

// These bits are the promise that every machine computes the same features.
TEST(Mfcc, BitsAreTheSameOnEveryMachine) {
  const std::vector<float> out =
      features_of(ft_mfcc_mlperf_kws(), noise(15000, 0.1f, 1));
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(out))),
            "383fd13bbd4a03b78aa4c374e22b3d00295520090c42ed94d1eb386865b76979");
}

TEST(Mfcc, PadsShortClipsCutsLongOnesAndIgnoresVolume) {
  const ft_mfcc_config c = ft_mfcc_mlperf_kws();
  std::vector<float> audio = noise(12000, 0.25f, 2);
  const std::vector<float> a = features_of(c, audio);
  EXPECT_EQ(a.size(), 490u);
  std::vector<float> longer = audio;
  longer.resize(20000, 0.0f);
  EXPECT_EQ(features_of(c, longer), a);
  for (float& x : longer) x *= 4.0f;
  EXPECT_EQ(features_of(c, longer), a);
  longer.back() = 1000.0f;  // behind the clip: no influence
  EXPECT_EQ(features_of(c, longer), a);
}

TEST(Mfcc, SilenceAndNoSamplesGiveTheFloor) {
  const ft_mfcc_config c = ft_mfcc_mlperf_kws();
  const std::vector<float> silent = features_of(c, std::vector<float>(16000));
  EXPECT_EQ(features_of(c, {}), silent);
  EXPECT_EQ(features_of(c, std::vector<float>(100, -1.0f)).size(), 490u);
  for (const float x : silent) ASSERT_TRUE(std::isfinite(x));
  EXPECT_NEAR(silent[0], 40 * std::log(1e-6) * std::sqrt(2.0 / 40), 1e-3);
}

TEST(Mfcc, CheckNamesTheWrongSetting) {
  const auto refuses = [](const char* name, auto change) {
    ft_mfcc_config c = ft_mfcc_mlperf_kws();
    change(c);
    const char* reason = ft_mfcc_check(&c);
    ASSERT_NE(reason, nullptr) << name;
    EXPECT_EQ(std::string(reason).rfind(name, 0), 0u) << reason;
  };
  const float nan = std::nanf("");
  using C = ft_mfcc_config;
  refuses("sample_rate", [](C& c) { c.sample_rate = 0; });
  refuses("fft_size", [](C& c) { c.fft_size = 500; });
  refuses("fft_size", [](C& c) { c.fft_size = 1 << 20; });
  refuses("frame_samples", [](C& c) { c.frame_samples = 513; });
  refuses("clip_samples", [](C& c) { c.clip_samples = 100; });
  refuses("hop_samples", [](C& c) { c.hop_samples = 0; });
  refuses("mel_bins", [](C& c) { c.mel_bins = 0; });
  refuses("coefficients", [](C& c) { c.coefficients = 41; });
  refuses("mel_low_hz", [&](C& c) { c.mel_low_hz = nan; });
  refuses("mel_high_hz", [](C& c) { c.mel_high_hz = 8001.0f; });
  refuses("log_floor", [&](C& c) { c.log_floor = nan; });
  refuses("normalize", [](C& c) { c.normalize = 7; });
}

}  // namespace
}  // namespace ft
