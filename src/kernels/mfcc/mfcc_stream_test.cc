// The streaming front ends against ft_mfcc_run on whole clips, and their own
// parts against definitions.
#include "kernels/mfcc/mfcc_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <span>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "kernels/mfcc/fft.h"
#include "kernels/mfcc/fft_fixed.h"
#include "kernels/mfcc/mfcc_fixed.h"

namespace ft {
namespace {

// Of MLPerf Tiny's keyword model, as ops/quantize_multiplier.h would have it.
constexpr float kScale = 0.5846993923f;
constexpr int32_t kZeroPoint = 83;

// Bursts of noise and tones with pauses between them, like words.
std::vector<int16_t> sounds(size_t samples, double amplitude, uint64_t seed) {
  const Random random(seed, "mfcc_stream_test");
  std::vector<int16_t> out(samples);
  for (size_t i = 0; i < samples; ++i) {
    const double burst = std::max(0.0, std::sin(static_cast<double>(i) / 900));
    const double tone =
        std::sin(static_cast<double>(i * (1 + i / 4000)) * 0.07);
    const double v =
        amplitude * (burst * (0.7 * tone + 0.1 * random.normal(i)) +
                     0.002 * random.normal(samples + i));
    out[i] = static_cast<int16_t>(std::clamp(v, -1.0, 0.99996) * 32768);
  }
  return out;
}

struct Float {
  explicit Float(const ft_mfcc_config& c)
      : tables(ft_mfcc_table_floats(&c)), scratch(ft_mfcc_scratch_floats(&c)) {
    ft_mfcc_init(&c, tables.data(), &mfcc);
  }
  std::vector<float> tables, scratch;
  ft_mfcc mfcc;
};

// Memory of a ring with its frames' features.
template <class T>
struct Ring {
  explicit Ring(const ft_mfcc_config& c)
      : overlap(static_cast<size_t>(
            ft_audio_ring_overlap(c.frame_samples, c.hop_samples))),
        samples(overlap * static_cast<size_t>(c.hop_samples)),
        peaks(static_cast<size_t>(ft_mfcc_frames(&c)) + overlap - 1),
        silent(static_cast<size_t>(ft_mfcc_frames(&c))),
        features(silent.size() * static_cast<size_t>(c.coefficients)),
        ring{c.frame_samples,
             c.hop_samples,
             ft_mfcc_frames(&c),
             samples.data(),
             peaks.data(),
             silent.data(),
             next} {}
  size_t overlap;
  std::vector<int16_t> samples, peaks;
  std::vector<uint8_t> silent;
  int32_t next[2] = {};
  std::vector<T> features;
  ft_audio_ring ring;
};

std::vector<float> clip_features(Float& f, std::span<const int16_t> audio) {
  std::vector<float> real(audio.begin(), audio.end());
  for (float& x : real) x /= 32768.0f;
  const ft_mfcc_config& c = f.mfcc.config;
  std::vector<float> out(static_cast<size_t>(ft_mfcc_frames(&c)) *
                         static_cast<size_t>(c.coefficients));
  ft_mfcc_run(&f.mfcc, real.data(), real.size(), out.data(), f.scratch.data());
  return out;
}

std::vector<float> stream_features(Float& f, std::span<const int16_t> audio) {
  const ft_mfcc_config& c = f.mfcc.config;
  Ring<float> r(c);
  ft_mfcc_stream_init(&f.mfcc, &r.ring, r.features.data(), f.scratch.data());
  const auto hop = static_cast<size_t>(c.hop_samples);
  for (size_t at = 0; at + hop <= audio.size(); at += hop)
    ft_mfcc_stream_push(&f.mfcc, &r.ring, r.features.data(), f.scratch.data(),
                        audio.data() + at);
  std::vector<float> out(r.features.size());
  const float shift = ft_mfcc_stream_shift(&f.mfcc, &r.ring);
  for (int32_t t = 0; t < r.ring.frames; ++t)
    ft_mfcc_stream_row(&f.mfcc, &r.ring, r.features.data(), shift, t,
                       out.data() + t * c.coefficients);
  return out;
}

std::vector<int8_t> fixed_features(Float& f, std::span<const int16_t> audio) {
  const ft_mfcc_config& c = f.mfcc.config;
  std::vector<int16_t> tables(ft_mfcc_fixed_table_words(&c));
  std::vector<int32_t> scratch(ft_mfcc_fixed_scratch_words(&c));
  ft_mfcc_fixed fixed;
  ft_mfcc_fixed_make(&f.mfcc, tables.data(), &fixed);
  int exponent = 0;
  const double factor = 1.0 / (kScale * std::ldexp(1.0, fixed.feature_bits));
  fixed.multiplier = static_cast<int32_t>(
      std::lround(std::frexp(factor, &exponent) * 2147483648.0));
  fixed.shift = exponent;
  fixed.zero_point = kZeroPoint;
  Ring<int16_t> r(c);
  ft_mfcc_fixed_init(&fixed, &r.ring, r.features.data(), scratch.data());
  const auto hop = static_cast<size_t>(c.hop_samples);
  for (size_t at = 0; at + hop <= audio.size(); at += hop)
    ft_mfcc_fixed_push(&fixed, &r.ring, r.features.data(), scratch.data(),
                       audio.data() + at);
  std::vector<int8_t> out(r.features.size());
  ft_mfcc_fixed_read(&fixed, &r.ring, r.features.data(), out.data());
  return out;
}

std::vector<int8_t> quantized(std::span<const float> features) {
  std::vector<int8_t> out;
  for (const float x : features)
    out.push_back(static_cast<int8_t>(
        std::clamp(std::round(x / kScale) + static_cast<float>(kZeroPoint),
                   -128.0f, 127.0f)));
  return out;
}

std::vector<ft_mfcc_config> configs() {
  const ft_mfcc_config kws = ft_mfcc_mlperf_kws();
  ft_mfcc_config gaps = kws, wide = kws;
  gaps.hop_samples = 500;  // more than a frame
  gaps.fft_size = 1024;
  gaps.mel_bins = 12;
  gaps.coefficients = 12;
  gaps.mel_high_hz = 8000.0f;
  wide.frame_samples = 400;
  wide.hop_samples = 160;
  wide.mel_low_hz = 0.0f;
  return {kws, gaps, wide};
}

TEST(MfccStream, HasTheBitsOfTheClipWhereNothingIsNormalized) {
  for (ft_mfcc_config c : configs()) {
    c.normalize = FT_AUDIO_AS_IS;
    Float f(c);
    const auto audio = sounds(static_cast<size_t>(c.hop_samples) * 120, 0.4, 1);
    const std::vector<float> got = stream_features(f, audio);
    const auto hop = static_cast<size_t>(c.hop_samples);
    const auto overlap = static_cast<size_t>(
        ft_audio_ring_overlap(c.frame_samples, c.hop_samples));
    const auto frames = static_cast<size_t>(ft_mfcc_frames(&c));
    const size_t first = audio.size() - (frames + overlap - 1) * hop;
    EXPECT_EQ(got, clip_features(f, std::span(audio).subspan(first)));
  }
}

// Louder or softer, at the start of a stream, over its end, with silence in
// front, behind and between: one window is one clip. What is left is the log
// floor beside frames of a few samples of 1 in 32768 (less than half a step of
// the int8 input).
TEST(MfccStream, IsTheClipDividedByItsLargestSample) {
  const ft_mfcc_config c = ft_mfcc_mlperf_kws();
  Float f(c);
  for (const double amplitude : {0.02, 0.3, 1.2}) {
    auto audio = sounds(3 * 16000, amplitude, 2);
    std::fill(audio.begin() + 20000, audio.begin() + 26000, int16_t{0});
    for (const size_t end : {6400, 16000, 28800, 48000}) {
      const auto heard = std::span(audio).first(end);
      std::vector<int16_t> clip(16000);  // what came before is silence
      const size_t known = std::min<size_t>(end, 16000);
      std::copy(heard.end() - static_cast<ptrdiff_t>(known), heard.end(),
                clip.end() - static_cast<ptrdiff_t>(known));
      const std::vector<float> want = clip_features(f, clip);
      const std::vector<float> got = stream_features(f, heard);
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_NEAR(got[i], want[i], 0.25) << amplitude << " " << end;
    }
  }
}

TEST(MfccStream, OfSilenceIsTheFloor) {
  Float f(ft_mfcc_mlperf_kws());
  EXPECT_EQ(stream_features(f, {}), clip_features(f, {}));
  const std::vector<int16_t> silence(32000);
  EXPECT_EQ(stream_features(f, silence), clip_features(f, {}));
}

TEST(FftFixed, SpectrumMatchesADirectFourierSum) {
  for (const int n : {16, 64, 512, 2048}) {
    const auto size = static_cast<size_t>(n);
    std::vector<float> twiddle(size);
    ft_fft_init(n, twiddle.data());
    std::vector<int16_t> q15;
    for (const float w : twiddle)
      q15.push_back(static_cast<int16_t>(
          std::clamp(std::floor(w * 32768 + 0.5), -32768.0, 32767.0)));
    std::vector<int32_t> x(size);
    for (size_t i = 0; i < size; ++i)  // the sum just stays below 2^29
      x[i] = static_cast<int32_t>((536870912.0 / n - 1) *
                                  std::cos(0.9 * static_cast<double>(i * i)));
    std::vector<int32_t> work = x;
    ft_fft_fixed(n, q15.data(), work.data());
    for (size_t k = 1; k < size / 2; ++k) {
      std::complex<double> sum = 0;
      for (size_t i = 0; i < size; ++i)
        sum += static_cast<double>(x[i]) *
               std::polar(1.0, -2 * std::numbers::pi *
                                   static_cast<double>(k * i % size) / n);
      int32_t re = 0, im = 0;
      ft_fft_fixed_bin(n, q15.data(), work.data(), static_cast<int32_t>(k), &re,
                       &im);
      // Relative to the power of the whole: twiddles have 2^-16.
      const double limit = 6e-5 * 536870912.0 / std::sqrt(n);
      ASSERT_NEAR(re, sum.real(), limit) << n << " " << k;
      ASSERT_NEAR(im, sum.imag(), limit) << n << " " << k;
    }
  }
}

// What cores do that lack a multiplication of 64 bits.
TEST(FftFixed, ProductsNeedNo64Bits) {
  const int32_t big = (1 << 29) - 1;
  for (const int32_t a : {0, 1, -1, 32767, -32768, big, -big})
    for (const int32_t b : {0, -1, 40000, big, -big})
      for (const int32_t w : {0, 1, -1, 32767, -32768, 12345})
        for (const int32_t v : {0, 32767, -32768, -23170})
          EXPECT_EQ((a >> 15) * w + (b >> 15) * v +
                        (((a & 32767) * w + (b & 32767) * v) >> 15),
                    ft_mul_add_q15(a, w, b, v));
}

TEST(MfccFixed, GivesTheInt8InputOfTheFloatOne) {
  for (const ft_mfcc_config& c : configs()) {
    ASSERT_EQ(ft_mfcc_fixed_check(&c), nullptr);
    Float f(c);
    size_t values = 0, same = 0;
    int furthest = 0;
    for (const double amplitude : {0.001, 0.02, 0.3, 1.2}) {
      const auto audio = sounds(2 * 16000, amplitude, 3);
      for (const size_t end : {0, 1920, 16000, 32000}) {
        const auto heard = std::span(audio).first(end);
        const std::vector<int8_t> want = quantized(stream_features(f, heard));
        const std::vector<int8_t> got = fixed_features(f, heard);
        for (size_t i = 0; i < got.size(); ++i) {
          ++values;
          same += got[i] == want[i] ? 1 : 0;
          furthest = std::max(furthest, std::abs(got[i] - want[i]));
        }
      }
    }
    EXPECT_LE(furthest, 1);
    EXPECT_GE(static_cast<double>(same), 0.99 * static_cast<double>(values));
  }
}

// Extremes: no overflow (UBSan looks on), and silence is silence.
TEST(MfccFixed, TakesAnySamples) {
  const ft_mfcc_config c = ft_mfcc_mlperf_kws();
  Float f(c);
  for (const int16_t low : {int16_t{-32768}, int16_t{-1}, int16_t{0}})
    for (const int16_t high : {int16_t{32767}, int16_t{1}, int16_t{0}})
      for (const size_t period : {1, 2, 7, 100}) {
        std::vector<int16_t> audio(16000);
        for (size_t i = 0; i < audio.size(); ++i)
          audio[i] = i / period % 2 ? high : low;
        EXPECT_EQ(fixed_features(f, audio).size(), 490u);
      }
  EXPECT_EQ(fixed_features(f, std::vector<int16_t>(16000)),
            quantized(clip_features(f, {})));
}

// These bits are the promise that every machine computes the same input.
TEST(MfccFixed, BitsAreTheSameOnEveryMachine) {
  Float f(ft_mfcc_mlperf_kws());
  const std::vector<int8_t> out = fixed_features(f, sounds(20000, 0.3, 4));
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span(out))),
            "3005b748e1667cb361f3e99c6468b9593d22aa385d61f1564c361f3d02f58a0d");
}

TEST(MfccFixed, CheckSaysWhatFixedPointCannotDo) {
  ft_mfcc_config c = ft_mfcc_mlperf_kws();
  c.fft_size = 8192;
  EXPECT_STREQ(ft_mfcc_fixed_check(&c),
               "fft_size must be 16 to 4096 in fixed point");
  c = ft_mfcc_mlperf_kws();
  c.mel_bins = 300;
  EXPECT_STREQ(ft_mfcc_fixed_check(&c),
               "mel_bins must be at most 256 in fixed point");
  c = ft_mfcc_mlperf_kws();
  c.log_floor = 0.5f;
  EXPECT_STREQ(ft_mfcc_fixed_check(&c),
               "log_floor must be 1e-9 to 1e-3 in fixed point");
}

}  // namespace
}  // namespace ft
