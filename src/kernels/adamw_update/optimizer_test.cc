// Optimizers: several steps against PyTorch's formulas written out in double,
// one by hand, and the Highway rows against the C99 rows.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <vector>

#include "base/random.h"
#include "kernels/adamw_update/adamw_update.h"
#include "kernels/sgd_update/sgd_update.h"

namespace {

constexpr uint64_t kSeed = 11;
constexpr size_t kCount = 101;
constexpr int kSteps = 20;
constexpr double kLr = 0.05;

struct State {
  std::vector<float> param, m, v;
};

State fresh_state() {
  State s{std::vector<float>(kCount), std::vector<float>(kCount),
          std::vector<float>(kCount)};
  const ft::Random random(kSeed, "param");
  for (size_t i = 0; i < kCount; ++i) s.param[i] = random.normal(i);
  return s;
}

std::vector<float> gradient_of_step(int t) {
  std::vector<float> g(kCount);
  const ft::Random random(kSeed, "grad");
  for (size_t i = 0; i < kCount; ++i)
    g[i] = random.normal(static_cast<uint64_t>(t) * kCount + i);
  return g;
}

State run_adamw(ft_kernel_fn kernel) {
  State s = fresh_state();
  const ft_adamw_update_params p{
      .count = kCount,
      .one_minus_beta1 = static_cast<float>(1 - 0.9),
      .beta2 = 0.999f,
      .one_minus_beta2 = static_cast<float>(1 - 0.999),
      .eps = 1e-8f,
      .weight_decay = 0.01f};
  for (int t = 1; t <= kSteps; ++t) {
    std::vector<float> g = gradient_of_step(t);
    float hyper[4] = {static_cast<float>(kLr),
                      static_cast<float>(1 / (1 - std::pow(0.9, t))),
                      static_cast<float>(1 / (1 - std::pow(0.999, t))), 0};
    void* in[] = {s.param.data(), g.data(), s.m.data(), s.v.data(), hyper};
    const ft_args args{in, nullptr, nullptr, nullptr};
    kernel(&p, &args);
  }
  return s;
}

TEST(AdamwUpdate, FollowsPyTorchsFormulas) {
  std::printf("seed %d\n", static_cast<int>(kSeed));
  const State start = fresh_state(), got = run_adamw(ft_adamw_update_f32_c99);
  for (size_t i = 0; i < kCount; ++i) {
    double param = start.param[i], m = 0, v = 0;
    for (int t = 1; t <= kSteps; ++t) {
      const double g = gradient_of_step(t)[i];
      param -= kLr * 0.01 * param;
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      const double m_hat = m / (1 - std::pow(0.9, t));
      const double v_hat = v / (1 - std::pow(0.999, t));
      param -= kLr * m_hat / (std::sqrt(v_hat) + 1e-8);
    }
    EXPECT_NEAR(got.param[i], param, 5e-6) << i;
    EXPECT_NEAR(got.v[i], v, 1e-7) << i;
  }
}

// With any gradient the first step without decay is lr * sign(gradient).
TEST(AdamwUpdate, FirstStepIsTheLearningRate) {
  const ft_adamw_update_params p{.count = 2,
                                 .one_minus_beta1 = 0.1f,
                                 .beta2 = 0.999f,
                                 .one_minus_beta2 = 0.001f,
                                 .eps = 0,
                                 .weight_decay = 0};
  float param[] = {1, 1}, grad[] = {3, -0.01f}, m[] = {0, 0}, v[] = {0, 0};
  float hyper[] = {0.25f, 10, 1000, 0};
  void* in[] = {param, grad, m, v, hyper};
  const ft_args args{in, nullptr, nullptr, nullptr};
  ft_adamw_update_f32_c99(&p, &args);
  EXPECT_NEAR(param[0], 0.75, 1e-6);
  EXPECT_NEAR(param[1], 1.25, 1e-6);
}

TEST(AdamwUpdate, HighwayRowHasTheBitsOfTheC99Row) {
  const State c99 = run_adamw(ft_adamw_update_f32_c99);
  const State hwy = run_adamw(ft_adamw_update_f32_hwy);
  EXPECT_EQ(c99.param, hwy.param);
  EXPECT_EQ(c99.m, hwy.m);
  EXPECT_EQ(c99.v, hwy.v);
}

struct SgdCase {
  double momentum, weight_decay;
  bool nesterov;
};
constexpr SgdCase kSgdCases[] = {
    {0, 0, false}, {0, 0.1, false}, {0.9, 0, false}, {0.8, 0.01, true}};

State run_sgd(ft_kernel_fn kernel, const SgdCase& c) {
  State s = fresh_state();
  const ft_sgd_update_params p{
      .count = kCount,
      .momentum = static_cast<float>(c.momentum),
      .weight_decay = static_cast<float>(c.weight_decay),
      .nesterov = c.nesterov};
  for (int t = 1; t <= kSteps; ++t) {
    std::vector<float> g = gradient_of_step(t);
    float hyper[4] = {static_cast<float>(kLr), 0, 0, 0};
    void* state = c.momentum != 0 ? s.m.data() : nullptr;
    void* in[] = {s.param.data(), g.data(), hyper, state};
    const ft_args args{in, nullptr, nullptr, nullptr};
    kernel(&p, &args);
  }
  return s;
}

double sgd_in_double(const SgdCase& c, double param, size_t i) {
  double buffer = 0;
  for (int t = 1; t <= kSteps; ++t) {
    double g = gradient_of_step(t)[i] + c.weight_decay * param;
    if (c.momentum != 0) {
      buffer = t == 1 ? g : c.momentum * buffer + g;
      g = c.nesterov ? g + c.momentum * buffer : buffer;
    }
    param -= kLr * g;
  }
  return param;
}

TEST(SgdUpdate, FollowsPyTorchsFormulas) {
  const State start = fresh_state();
  for (const SgdCase& c : kSgdCases) {
    const State got = run_sgd(ft_sgd_update_f32_c99, c);
    for (size_t i = 0; i < kCount; ++i)
      EXPECT_NEAR(got.param[i], sgd_in_double(c, start.param[i], i), 1e-5)
          << "momentum " << c.momentum << " element " << i;
  }
}

TEST(SgdUpdate, HighwayRowHasTheBitsOfTheC99Row) {
  for (const SgdCase& c : kSgdCases) {
    const State c99 = run_sgd(ft_sgd_update_f32_c99, c);
    const State hwy = run_sgd(ft_sgd_update_f32_hwy, c);
    EXPECT_EQ(c99.param, hwy.param);
    EXPECT_EQ(c99.m, hwy.m);
  }
}

}  // namespace
