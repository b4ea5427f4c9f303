// Features to int8 and back, against std::round().
#include "train/samples.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "train/answers.h"

namespace ft {
namespace {

constexpr uint64_t kSeed = 3;

TensorType int8_type(size_t count, float scale, int32_t zero_point) {
  return {DType::kS8,
          Shape{static_cast<int64_t>(count)},
          {.scale = {scale}, .zero_point = {zero_point}}};
}

int8_t naive(float v, float scale, int32_t zero_point) {
  const double whole = std::round(static_cast<double>(v / scale)) + zero_point;
  if (!(whole > -128)) return -128;  // NaN too
  return static_cast<int8_t>(std::min(whole, 127.0));
}

std::vector<float> edges(float scale) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> all = {0,     -0.0f,  infinity, -infinity, std::nanf(""),
                            1e30f, -1e30f, 1e-30f};
  for (int i = -300; i <= 300; ++i) {
    const float half = (static_cast<float>(i) + 0.5f) * scale;
    for (const float v : {half, std::nextafter(half, infinity),
                          std::nextafter(half, -infinity)})
      all.push_back(v);
  }
  return all;
}

TEST(Samples, FeaturesAreRoundedHalvesAwayFromZero) {
  for (const float scale : {1.0f, 0.5f, 0.0371f, 3.3f})
    for (const int32_t zero_point : {-128, -3, 0, 127}) {
      const std::vector<float> x = edges(scale);
      std::vector<std::byte> q(x.size());
      write_features(q, int8_type(x.size(), scale, zero_point), 0, x);
      for (size_t i = 0; i < x.size(); ++i)
        ASSERT_EQ(static_cast<int8_t>(q[i]), naive(x[i], scale, zero_point))
            << x[i] << " scale " << scale << " zero point " << zero_point;
    }
}

TEST(Samples, EveryLengthIsWrittenAndReadWholly) {
  const Random random(kSeed, "features");
  for (const size_t count : {1, 2, 63, 64, 65, 127, 128, 129, 640}) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << " count " << count);
    const float scale = 0.1f;
    const TensorType type = int8_type(count, scale, 5);
    std::vector<float> x(count), back(count + 1, 42);
    for (size_t i = 0; i < count; ++i) x[i] = 6 * random.normal(i);
    // Slot 1 of three.
    std::vector<std::byte> q(3 * count, std::byte{77});
    write_features(q, type, 1, x);
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(static_cast<int>(q[i]), 77);
      ASSERT_EQ(static_cast<int8_t>(q[count + i]), naive(x[i], scale, 5));
      ASSERT_EQ(static_cast<int>(q[2 * count + i]), 77);
    }
    read_real(type, std::span(q).subspan(count, count),
              std::span(back).first(count));
    for (size_t i = 0; i < count; ++i)
      ASSERT_EQ(back[i], scale * static_cast<float>(
                                     static_cast<int8_t>(q[count + i]) - 5));
    ASSERT_EQ(back[count], 42);
  }
}

}  // namespace
}  // namespace ft
