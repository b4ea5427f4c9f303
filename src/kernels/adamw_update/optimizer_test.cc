// Optimizers: several steps against PyTorch's formulas written out in double,
// one by hand, and the Highway rows against the C99 rows.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "base/random.h"
#include "kernels/adamw8bit_update/adamw8bit_update.h"
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
      .weight_decay = 0.01f,
      .kept = 0};
  for (int t = 1; t <= kSteps; ++t) {
    std::vector<float> g = gradient_of_step(t);
    float hyper[4] = {static_cast<float>(kLr),
                      static_cast<float>(1 / (1 - std::pow(0.9, t))),
                      static_cast<float>(1 / (1 - std::pow(0.999, t))), 0};
    void* in[] = {s.param.data(), g.data(), s.m.data(),
                  s.v.data(),     hyper,    nullptr};
    const ft_args args{in, nullptr, nullptr, nullptr, nullptr};
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
                                 .weight_decay = 0,
                                 .kept = 0};
  float param[] = {1, 1}, grad[] = {3, -0.01f}, m[] = {0, 0}, v[] = {0, 0};
  float hyper[] = {0.25f, 10, 1000, 0};
  void* in[] = {param, grad, m, v, hyper, nullptr};
  const ft_args args{in, nullptr, nullptr, nullptr, nullptr};
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
      .nesterov = c.nesterov,
      .kept = 0};
  for (int t = 1; t <= kSteps; ++t) {
    std::vector<float> g = gradient_of_step(t);
    float hyper[4] = {static_cast<float>(kLr), 0, 0, 0};
    void* state = c.momentum != 0 ? s.m.data() : nullptr;
    void* in[] = {s.param.data(), g.data(), hyper, state, nullptr};
    const ft_args args{in, nullptr, nullptr, nullptr, nullptr};
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

// The maps from their definition, and as many codes as bits allow.
TEST(DynamicMap, FollowsItsDefinition) {
  for (const bool is_signed : {true, false}) {
    std::vector<double> want = {0, 1};
    for (int i = 0; i < 7; ++i) {
      const int n = 1 << (is_signed ? i : i + 1);
      for (int k = 0; k < n; ++k) {
        const double v = std::pow(10.0, i - 6) * (0.1 + 0.9 * (k + 0.5) / n);
        want.push_back(v);
        if (is_signed) want.push_back(-v);
      }
    }
    std::sort(want.begin(), want.end());
    ASSERT_EQ(want.size(), 256u);
    const float* map =
        is_signed ? ft_dynamic_map_signed : ft_dynamic_map_unsigned;
    for (size_t i = 0; i < want.size(); ++i)
      EXPECT_EQ(map[i], static_cast<float>(want[i])) << i;
  }
}

struct State8bit {
  std::vector<float> param;
  std::vector<uint8_t> m, v;
  std::vector<float> m_absmax, v_absmax;
};

// The nearest code by looking at all of them.
uint8_t nearest(const float* map, double x) {
  int best = 0;
  for (int i = 1; i < 256; ++i)
    if (std::abs(map[i] - x) < std::abs(map[best] - x)) best = i;
  return static_cast<uint8_t>(best);
}

TEST(Adamw8bitUpdate, StoresTheNearestCodesBlockByBlock) {
  constexpr int kBig = 600;
  const ft_adamw_update_params p{.count = kBig,
                                 .one_minus_beta1 = 0.1f,
                                 .beta2 = 0.999f,
                                 .one_minus_beta2 = 0.001f,
                                 .eps = 1e-8f,
                                 .weight_decay = 0.01f,
                                 .kept = 0};
  const ft::Random random(kSeed, "8bit");
  State8bit s{std::vector<float>(kBig),
              std::vector<uint8_t>(kBig),
              std::vector<uint8_t>(kBig),
              {0, 0, 0},
              {0, 0, 0}};
  std::vector<double> param(kBig), m(kBig), v(kBig);
  for (int t = 1; t <= kSteps; ++t) {
    std::vector<float> g(kBig);
    for (size_t i = 0; i < kBig; ++i)
      g[i] = random.normal(static_cast<uint64_t>(t) * kBig + i) *
             (i < 256   ? 1.0f
              : i < 512 ? 1e-4f
                        : 0.0f);
    const double c1 = 1 / (1 - std::pow(0.9, t));
    const double c2 = 1 / (1 - std::pow(0.999, t));
    float hyper[4] = {0.05f, static_cast<float>(c1), static_cast<float>(c2), 0};
    void* in[] = {s.param.data(),    g.data(),          s.m.data(), s.v.data(),
                  s.m_absmax.data(), s.v_absmax.data(), hyper};
    const ft_args args{in, nullptr, nullptr, nullptr, nullptr};
    ft_adamw8bit_update_f32u8_c99(&p, &args);
    for (size_t b = 0; b < 3; ++b) {
      double m_most = 0, v_most = 0;
      const size_t end = std::min<size_t>(kBig, 256 * (b + 1));
      for (size_t i = 256 * b; i < end; ++i) {
        m[i] = 0.9 * m[i] + 0.1 * g[i];
        v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
        param[i] = param[i] * (1 - 0.05 * 0.01) -
                   0.05 * m[i] * c1 / (std::sqrt(v[i] * c2) + 1e-8);
        m_most = std::max(m_most, std::abs(m[i]));
        v_most = std::max(v_most, v[i]);
      }
      EXPECT_NEAR(s.m_absmax[b], m_most, 1e-5 * m_most);
      EXPECT_NEAR(s.v_absmax[b], v_most, 1e-5 * v_most);
      for (size_t i = 256 * b; i < end; ++i) {
        EXPECT_NEAR(s.param[i], param[i], 2e-5) << i;
        const auto near = [](int a, int c) { return std::abs(a - c) <= 1; };
        EXPECT_TRUE(near(s.m[i], nearest(ft_dynamic_map_signed,
                                         m_most > 0 ? m[i] / m_most : 0)));
        EXPECT_TRUE(near(s.v[i], nearest(ft_dynamic_map_unsigned,
                                         v_most > 0 ? v[i] / v_most : 0)));
        // Go on from what is stored, as the kernel does.
        m[i] =
            static_cast<double>(s.m_absmax[b]) * ft_dynamic_map_signed[s.m[i]];
        v[i] = static_cast<double>(s.v_absmax[b]) *
               ft_dynamic_map_unsigned[s.v[i]];
        param[i] = s.param[i];
      }
    }
  }
}

// A block whose largest v dwarfs the others: the small ones must not turn into
// 0, or a gradient of 0 in the next step would make a move of m / eps.
TEST(Adamw8bitUpdate, TinyMomentsDoNotExplode) {
  const ft_adamw_update_params p{.count = 2,
                                 .one_minus_beta1 = 0.1f,
                                 .beta2 = 0.999f,
                                 .one_minus_beta2 = 0.001f,
                                 .eps = 1e-8f,
                                 .weight_decay = 0,
                                 .kept = 0};
  float param[] = {0, 0}, grad[] = {1, 1e-4f}, absmax[] = {0, 0};
  uint8_t m[] = {0, 0}, v[] = {0, 0};
  for (int t = 1; t <= 2; ++t) {
    float hyper[4] = {0.1f, static_cast<float>(1 / (1 - std::pow(0.9, t))),
                      static_cast<float>(1 / (1 - std::pow(0.999, t))), 0};
    void* in[] = {param, grad, m, v, absmax, absmax + 1, hyper};
    const ft_args args{in, nullptr, nullptr, nullptr, nullptr};
    ft_adamw8bit_update_f32u8_c99(&p, &args);
    EXPECT_GT(v[1], 0);
    grad[1] = 0;
  }
  EXPECT_LT(std::abs(param[1]), 0.3f);
}

// While gradients are accumulated no update touches anything.
TEST(Updates, HoldStopsEveryRow) {
  float param[] = {1, 2}, grad[] = {3, 4}, state[] = {5, 6}, v[] = {7, 8};
  float hyper[] = {0.5f, 1, 1, 1};
  uint8_t codes[] = {9, 10};
  const ft_sgd_update_params sgd{2, 0.9f, 0.1f, 0, 0};
  void* sgd_in[] = {param, grad, hyper, state, nullptr};
  const ft_adamw_update_params adamw{2, 0.1f, 0.9f, 0.1f, 1e-8f, 0.1f, 0};
  void* adamw_in[] = {param, grad, state, v, hyper, nullptr};
  void* eight_in[] = {param, grad, codes, codes, state, v, hyper};
  const auto run = [](ft_kernel_fn kernel, const void* params, void** in) {
    const ft_args args{in, nullptr, nullptr, nullptr, nullptr};
    kernel(params, &args);
  };
  run(ft_sgd_update_f32_c99, &sgd, sgd_in);
  run(ft_sgd_update_f32_hwy, &sgd, sgd_in);
  run(ft_adamw_update_f32_c99, &adamw, adamw_in);
  run(ft_adamw_update_f32_hwy, &adamw, adamw_in);
  run(ft_adamw8bit_update_f32u8_c99, &adamw, eight_in);
  EXPECT_EQ(param[0] + param[1], 3);
  EXPECT_EQ(state[0] + state[1], 11);
  EXPECT_EQ(v[0] + v[1], 15);
  EXPECT_EQ(codes[0] + codes[1], 19);
}

}  // namespace
