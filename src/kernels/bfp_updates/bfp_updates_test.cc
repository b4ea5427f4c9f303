// The integer optimizers: formulas in double, rounding without bias, no drift
// where there is no signal.
#include "kernels/bfp_updates/bfp_updates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/bfp/soft_float.h"

namespace ft {
namespace {

ft_soft soft(double v) {
  int e = 0;
  const double f = std::frexp(v, &e);
  return ft_soft_of(static_cast<int64_t>(std::llround(f * 0x1p40)), e - 40);
}
double real(ft_soft s) { return std::ldexp(static_cast<double>(s.m), s.e); }

void set_pair(double v, int32_t* pair) {
  const ft_soft s = soft(v);
  pair[0] = s.m;
  pair[1] = s.e;
}

TEST(SoftFloat, RootsAreFloors) {
  const Random random(5, "roots");
  std::vector<uint64_t> values = {uint64_t{1} << 58, (uint64_t{1} << 61) - 1};
  for (uint64_t i = 0; i < 100000; ++i) {
    const uint64_t high = random.bits(2 * i);
    const uint64_t v = (high << 32 | random.bits(2 * i + 1)) >> 3;
    values.push_back(std::max(v, uint64_t{1} << 58));
    // Squares and their neighbours below.
    const uint64_t root = (uint64_t{1} << 29) + random.bits(i) % 959119000;
    values.push_back(root * root);
    values.push_back(root * root - 1);
  }
  for (const uint64_t v : values) {
    if (v < uint64_t{1} << 58 || v >= uint64_t{1} << 61) continue;
    const uint64_t root = ft_root_of_61_bits(v);
    ASSERT_LE(root * root, v);
    ASSERT_GT((root + 1) * (root + 1), v) << v;
  }
}

TEST(SoftFloat, ComputesTo29Bits) {
  const Random random(1, "soft");
  for (uint64_t i = 0; i < 20000; ++i) {
    const auto draw = [&](uint64_t k) {
      const double m = static_cast<double>(random.normal(4 * i + k));
      return std::ldexp(m, static_cast<int>(random.below(4 * i + k, 60)) - 30);
    };
    const double a = draw(0), b = draw(1);
    if (a == 0 || b == 0) continue;
    const double scale = std::fabs(a) + std::fabs(b);
    EXPECT_NEAR(real(soft(a)), a, std::fabs(a) * 0x1p-29);
    EXPECT_NEAR(real(ft_soft_mul(soft(a), soft(b))), a * b,
                std::fabs(a * b) * 0x1p-27);
    EXPECT_NEAR(real(ft_soft_add(soft(a), soft(b))), a + b, scale * 0x1p-28);
    EXPECT_NEAR(real(ft_soft_div(soft(a), soft(b))), a / b,
                std::fabs(a / b) * 0x1p-27);
    EXPECT_NEAR(real(ft_soft_sqrt(soft(std::fabs(a)))), std::sqrt(std::fabs(a)),
                std::sqrt(std::fabs(a)) * 0x1p-27);
  }
  EXPECT_EQ(ft_soft_sqrt(ft_soft_of(0, 0)).m, 0);
}

TEST(SoftFloat, StatesKeepTheirMean) {
  const Random random(2, "pack");
  constexpr int kDraws = 100000;
  for (const double v : {1.0, 3.14159e-7, 0.7071, 1.9999, 5e-29}) {
    double s = 0, u = 0;
    for (uint64_t i = 0; i < kDraws; ++i) {
      const uint32_t r = random.bits(i);
      s += real(ft_soft_unpack_signed(ft_soft_pack_signed(soft(-v), r)));
      u += real(ft_soft_unpack_unsigned(ft_soft_pack_unsigned(soft(v), r)));
    }
    // A step is v / 256 or v / 512; its deviation at most half of it.
    const double sigma = v / 256 / 2 / std::sqrt(kDraws);
    EXPECT_NEAR(s / kDraws, -v, 5 * sigma);
    EXPECT_NEAR(u / kDraws, v, 5 * sigma);
  }
  EXPECT_EQ(ft_soft_pack_unsigned(soft(0), 77), 0);
  EXPECT_EQ(ft_soft_pack_unsigned(soft(0x1p-125), 77), 0);
  EXPECT_NEAR(real(ft_soft_unpack_signed(ft_soft_pack_signed(soft(1e30), 1))),
              0x1p27, 0x1p19);
}

// One tensor of parameters with its states and gradient.
struct Tensor {
  std::vector<int16_t> param, residual, grad, m, v;
  std::vector<int32_t> positions = {};  // of grad, if any
  int32_t exponent, grad_exponent;
  std::array<int32_t, FT_BFP_HYPER> hyper{};
  ft_bfp_update_params p{};
  std::vector<int32_t> grad_unit, unit, inverse_unit;

  explicit Tensor(size_t n, int32_t e = -15, int32_t ge = -15)
      : param(n),
        residual(n),
        grad(n),
        m(n),
        v(n),
        exponent(e),
        grad_exponent(ge) {
    p.count = static_cast<int32_t>(n);
    set_pair(1, p.grad_factor);
    set_pair(0.1, p.one_minus_beta1);
    set_pair(0.001, p.one_minus_beta2);
    set_pair(1e-8, p.eps);
    hyper[6] = 42;
  }
  void run(void (*update)(const void*, const ft_args*), double lr, int step,
           bool momentum = true) {
    set_pair(lr, hyper.data());
    set_pair(1 / (1 - std::pow(0.9, step + 1)), hyper.data() + 2);
    set_pair(1 / (1 - std::pow(0.999, step + 1)), hyper.data() + 4);
    hyper[8] = step;
    const bool adamw = update == ft_bfp_adamw_update_c99;
    void* in[] = {param.data(),
                  &exponent,
                  grad.data(),
                  &grad_exponent,
                  hyper.data(),
                  residual.data(),
                  momentum ? m.data() : nullptr,
                  adamw ? static_cast<void*>(v.data()) : positions_or_null(),
                  positions_or_null()};
    const void* aux[] = {grad_unit.data(), unit.data(), inverse_unit.data()};
    const ft_args args{in, aux, nullptr, nullptr, nullptr};
    update(&p, &args);
  }
  void* positions_or_null() {
    return positions.empty() ? nullptr : positions.data();
  }
  // One parameter counts in `of_param`, its gradient in `of_grad`.
  void add_units(double of_grad, double of_param) {
    p.has_units = 1;
    for (const auto& [list, v] :
         {std::pair{&grad_unit, of_grad}, std::pair{&unit, of_param},
          std::pair{&inverse_unit, 1 / of_param}}) {
      list->resize(list->size() + 2);
      set_pair(v, list->data() + list->size() - 2);
    }
  }
  double at(size_t i) const {
    return std::ldexp(param[i] + residual[i] / 65536.0, exponent);
  }
};

TEST(BfpUpdates, FollowAdamWInDouble) {
  const Random random(3, "adamw");
  constexpr size_t kCount = 200;
  Tensor t(kCount);
  set_pair(0.01, t.p.weight_decay);
  std::vector<double> x(kCount), m(kCount), v(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    t.param[i] = static_cast<int16_t>(random.below(i, 20000)) - 10000;
    x[i] = t.at(i);
  }
  double travelled = 0;
  for (int step = 0; step < 300; ++step) {
    // Gradients of very different sizes, and an exponent of its own each step.
    t.grad_exponent = -15 - step % 7;
    const double lr = 0.002;
    for (size_t i = 0; i < kCount; ++i) {
      const auto k = static_cast<uint64_t>(step) * kCount + i;
      t.grad[i] = static_cast<int16_t>(
          std::clamp(std::ldexp(static_cast<double>(random.normal(k)) + 0.4,
                                14 - int(i % 9)),
                     -32000.0, 32000.0));
      const double g = std::ldexp(t.grad[i], t.grad_exponent);
      m[i] += 0.1 * (g - m[i]);
      v[i] += 0.001 * (g * g - v[i]);
      const double c1 = 1 - std::pow(0.9, step + 1);
      const double c2 = 1 - std::pow(0.999, step + 1);
      const double move = lr * (m[i] / c1) / (std::sqrt(v[i] / c2) + 1e-8);
      x[i] -= move + lr * 0.01 * x[i];
      travelled += std::fabs(move) / kCount;
    }
    t.run(ft_bfp_adamw_update_c99, lr, step);
  }
  double off = 0;
  for (size_t i = 0; i < kCount; ++i) off += std::fabs(t.at(i) - x[i]) / kCount;
  EXPECT_GT(travelled, 0.05);
  // States of 8 and 9 bits, rounded at random: 1 % of the way.
  EXPECT_LE(off, 0.01 * travelled);
}

TEST(BfpUpdates, SgdEqualsTheFormula) {
  Tensor t(3);
  set_pair(0.9, t.p.momentum);
  t.param = {100, -100, 0};
  t.grad = {16384, -8192, 3};
  double x[3], b[3] = {0, 0, 0};
  for (size_t i = 0; i < 3; ++i) x[i] = t.at(i);
  for (int step = 0; step < 20; ++step) {
    t.run(ft_bfp_sgd_update_c99, 0.001, step);
    for (size_t i = 0; i < 3; ++i) {
      b[i] = 0.9 * b[i] + std::ldexp(t.grad[i], -15);
      x[i] -= 0.001 * b[i];
    }
  }
  for (size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(t.at(i), x[i], 0.02 * std::fabs(x[i]) + 1e-8);
}

// Parameters in units of their own move by the same real numbers.
TEST(BfpUpdates, UnitsChangeNoStep) {
  const double units[] = {1, 0.02, 37, 5}, grads[] = {1, 50, 0.3, 0.01};
  for (const bool adamw : {true, false}) {
    Tensor plain(4), counted(4);
    for (Tensor* t : {&plain, &counted}) set_pair(0.1, t->p.weight_decay);
    set_pair(0.9, plain.p.momentum);
    set_pair(0.9, counted.p.momentum);
    counted.exponent = -13;
    for (size_t i = 0; i < 4; ++i) {
      counted.add_units(grads[i], units[i]);
      counted.param[i] = static_cast<int16_t>(4000 / units[i] / 50);
      plain.param[i] = static_cast<int16_t>(
          std::lround(std::ldexp(counted.at(i) * units[i], 15)));
      counted.grad[i] = static_cast<int16_t>(8000 / grads[i] / 100);
      plain.grad[i] =
          static_cast<int16_t>(std::lround(counted.grad[i] * grads[i]));
    }
    std::vector<double> before;
    for (size_t i = 0; i < 4; ++i) {
      before.push_back(counted.at(i) * units[i]);
      before.push_back(plain.at(i));
    }
    for (int step = 0; step < 20; ++step)
      for (Tensor* t : {&plain, &counted})
        t->run(adamw ? ft_bfp_adamw_update_c99 : ft_bfp_sgd_update_c99, 1e-4,
               step);
    for (size_t i = 0; i < 4; ++i) {
      const double moved = counted.at(i) * units[i] - before[2 * i];
      const double wanted = plain.at(i) - before[2 * i + 1];
      EXPECT_NEAR(moved, wanted, 0.03 * std::fabs(wanted)) << i << adamw;
    }
  }
}

// Steps far below the last bit of the residual: only chance moves it, and its
// mean is the step. 10^5 roundings.
TEST(BfpUpdates, MeanOfRoundingsIsTheStep) {
  constexpr size_t kCount = 1000;
  constexpr int kSteps = 100;
  for (const double bits : {0.3, 0.01, 2.7}) {
    for (const int sign : {1, -1}) {
      const bool in_units = bits > 1;
      Tensor t(kCount);
      t.grad.assign(kCount, static_cast<int16_t>(sign * 16384));  // 1/2
      // Of which a unit is 6 units of the parameter.
      for (size_t i = 0; in_units && i < kCount; ++i) t.add_units(1.5, 0.25);
      const double unit = 0x1p-31, lr = 2 * bits * unit / (in_units ? 6 : 1);
      for (int step = 0; step < kSteps; ++step)
        t.run(ft_bfp_sgd_update_c99, lr, step, false);
      double sum = 0;
      for (size_t i = 0; i < kCount; ++i) sum += t.at(i) / unit;
      const double mean = sum / (kCount * kSteps);
      const double fraction = bits - std::floor(bits);
      const double sigma =
          std::sqrt(fraction * (1 - fraction) / (kCount * kSteps));
      EXPECT_NEAR(mean, -sign * bits, 4 * sigma + 1e-6 * bits);
    }
  }
}

// Gradients that are noise around zero: the mean parameter stays where it was.
TEST(BfpUpdates, NoiseWithoutSignalDoesNotDrift) {
  const Random random(4, "noise");
  constexpr size_t kCount = 500;
  constexpr int kSteps = 1000;
  for (const bool adamw : {true, false}) {
    Tensor t(kCount);
    for (size_t i = 0; i < kCount; ++i)
      t.param[i] = static_cast<int16_t>(i * 20) - 5000;
    double before = 0, after = 0, spread = 0;
    std::vector<double> start;
    for (size_t i = 0; i < kCount; ++i) start.push_back(t.at(i));
    for (int step = 0; step < kSteps; ++step) {
      for (size_t i = 0; i < kCount; ++i)
        t.grad[i] = static_cast<int16_t>(std::clamp(
            8000 * random.normal(static_cast<uint64_t>(step) * kCount + i),
            -32000.0f, 32000.0f));
      t.run(adamw ? ft_bfp_adamw_update_c99 : ft_bfp_sgd_update_c99, 1e-4,
            step);
    }
    for (size_t i = 0; i < kCount; ++i) {
      before += start[i] / kCount;
      after += t.at(i) / kCount;
      spread += std::pow(t.at(i) - start[i], 2) / kCount;
    }
    EXPECT_GT(spread, 0);
    EXPECT_NEAR(after, before, 4 * std::sqrt(spread / kCount)) << adamw;
  }
}

TEST(BfpUpdates, NoGradientIsNoStep) {
  for (const int exponent : {-40, -17, -15, 0, 20}) {
    Tensor t(2, exponent);
    t.param = {1234, -5};
    const auto before = t.param;
    for (int step = 0; step < 3; ++step) {
      t.run(ft_bfp_sgd_update_c99, 0.1, step);
      t.run(ft_bfp_adamw_update_c99, 0.1, step);
    }
    EXPECT_EQ(t.param, before) << exponent;
    EXPECT_EQ(t.residual, std::vector<int16_t>(2, 0)) << exponent;
  }
}

// Entries with a gradient move as among all others, the rest not at all.
TEST(BfpUpdates, MoveOnlyTheEntriesOfAGradientWithPositions) {
  const std::vector<int32_t> positions = {0, 3, 4};
  for (const auto update : {ft_bfp_adamw_update_c99, ft_bfp_sgd_update_c99}) {
    Tensor all(6), some(6);
    set_pair(0.9, all.p.momentum);
    all.param = {100, -100, 0, 300, 5000, -7};
    some.param = all.param;
    some.p = all.p;
    some.p.kept = 3;
    some.positions = positions;
    some.grad.resize(3);
    const Tensor start = some;
    for (int step = 0; step < 20; ++step) {
      for (size_t i = 0; i < 6; ++i)
        all.grad[i] = static_cast<int16_t>(1000 * (static_cast<int>(i) - 2));
      for (size_t k = 0; k < 3; ++k)
        some.grad[k] = all.grad[static_cast<size_t>(positions[k])];
      all.run(update, 0.01, step);
      some.run(update, 0.01, step);
    }
    for (size_t i = 0; i < 6; ++i) {
      const bool moves =
          std::ranges::count(positions, static_cast<int32_t>(i)) > 0;
      const Tensor& want = moves ? all : start;
      EXPECT_EQ(some.param[i], want.param[i]) << i;
      EXPECT_EQ(some.residual[i], want.residual[i]) << i;
      EXPECT_EQ(some.m[i], want.m[i]) << i;
      EXPECT_EQ(some.v[i], want.v[i]) << i;
    }
    EXPECT_NE(some.param[4], start.param[4]);
  }
}

TEST(BfpUpdates, MakeRoomWhenAMantissaGrows) {
  Tensor t(2, -21);
  t.grad = {-16384, 1};
  double last = 0;
  for (int step = 0; step < 40; ++step) {
    t.run(ft_bfp_sgd_update_c99, 0.01, step, false);
    last = t.at(0);
  }
  EXPECT_GT(t.exponent, -21);
  EXPECT_NEAR(last, 0.2, 1e-5);
}

}  // namespace
}  // namespace ft
