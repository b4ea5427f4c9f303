#include "kernels/schedule/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace {

constexpr int64_t kTotal = 1000, kWarmup = 20;

ft_schedule make(int32_t kind, double lr, double beta1, double beta2) {
  int exponent = 0;
  const double fraction = std::frexp(lr, &exponent);
  return {.lr_mantissa = static_cast<int32_t>(std::ldexp(fraction, 30)),
          .lr_exponent = exponent - 30,
          .kind = kind,
          .beta1 = static_cast<uint64_t>(std::ldexp(beta1, 63)),
          .beta2 = static_cast<uint64_t>(std::ldexp(beta2, 63)),
          .warmup = kWarmup,
          .total_updates = kTotal,
          .accumulate = 1};
}

double factor(int32_t kind, int64_t t) {
  if (t < kWarmup) return static_cast<double>(t + 1) / kWarmup;
  const double x = static_cast<double>(t - kWarmup) / (kTotal - kWarmup);
  if (kind == FT_SCHEDULE_CONSTANT) return 1;
  return kind == FT_SCHEDULE_LINEAR
             ? 1 - x
             : 0.5 * (1 + std::cos(std::numbers::pi * x));
}

TEST(Schedule, FollowsItsDefinition) {
  for (const int32_t kind :
       {FT_SCHEDULE_CONSTANT, FT_SCHEDULE_LINEAR, FT_SCHEDULE_COSINE})
    for (const double lr : {1e-30, 3e-4, 0.002, 1.0, 1000.0}) {
      const ft_schedule s = make(kind, lr, 0.9, 0.999);
      for (int64_t step = 0; step < kTotal; ++step) {
        float hyper[4];
        ft_schedule_f32(&s, step, hyper);
        const auto t = static_cast<double>(step + 1);
        EXPECT_NEAR(hyper[0] / lr, factor(kind, step), 1e-7) << step;
        EXPECT_NEAR(hyper[1] * (1 - std::pow(0.9, t)), 1, 1.2e-7) << step;
        EXPECT_NEAR(hyper[2] * (1 - std::pow(0.999, t)), 1, 1.2e-7) << step;
        EXPECT_EQ(hyper[3], 0.0f);
      }
    }
}

TEST(Schedule, IntegersSayTheSame) {
  const ft_schedule s = make(FT_SCHEDULE_COSINE, 0.002, 0.9, 0.999999);
  for (const int64_t step :
       {int64_t{0}, int64_t{7}, int64_t{999}, int64_t{1} << 33}) {
    float real[4];
    int32_t hyper[12];
    ft_schedule_f32(&s, step, real);
    ft_schedule_s32(&s, step, 0x123456789ABCDEF0u, hyper);
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(static_cast<float>(std::ldexp(hyper[2 * i], hyper[2 * i + 1])),
                real[i]);
    EXPECT_EQ(static_cast<uint32_t>(hyper[6]), 0x9ABCDEF0u);
    EXPECT_EQ(static_cast<uint32_t>(hyper[7]), 0x12345678u);
    EXPECT_EQ(hyper[9], step >> 32);
  }
}

TEST(Schedule, NoMomentsNeedNoCorrection) {
  const ft_schedule s = make(FT_SCHEDULE_LINEAR, 0, 0, 0);
  float hyper[4];
  ft_schedule_f32(&s, 500, hyper);
  EXPECT_EQ(hyper[0], 0.0f);
  EXPECT_EQ(hyper[1], 1.0f);
  EXPECT_EQ(hyper[2], 1.0f);
}

TEST(Schedule, HoldsWhileGradientsAreSummed) {
  ft_schedule s = make(FT_SCHEDULE_CONSTANT, 1, 0.5, 0.5);
  s.accumulate = 4;
  float hyper[4];
  for (int64_t step = 80; step < 84; ++step) {
    ft_schedule_f32(&s, step, hyper);
    EXPECT_EQ(hyper[3], step == 83 ? 0.0f : 1.0f);
    EXPECT_NEAR(hyper[1], 1 / (1 - std::pow(0.5, 21)), 1e-6);
  }
}

}  // namespace
