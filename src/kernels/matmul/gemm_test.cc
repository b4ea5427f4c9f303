// The shared float product on every instruction set of this machine.
#include "kernels/matmul/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "kernels/hwy_targets.h"
// After hwy_targets.h.
#include "hwy/targets.h"

namespace ft {
namespace {

constexpr uint64_t kSeed = 7;

std::vector<float> random_floats(int n, uint64_t stream) {
  const Random random(kSeed, stream);
  std::vector<float> v(static_cast<size_t>(n));
  for (size_t i = 0; i < v.size(); ++i) v[i] = 2 * random.uniform(i) - 1;
  return v;
}

struct Size {
  int m, n, k, k2;
};

// c = min(max(bias + 0.5 (a b + a2 b2) [+ c], -1), 1) in double.
void check_product(const Size& s, bool accumulate, bool trans_a) {
  const auto a = random_floats(s.m * s.k, 1), b = random_floats(s.k * s.n, 2);
  const auto a2 = random_floats(s.m * s.k2, 3);
  const auto b2 = random_floats(s.k2 * s.n, 4);
  const auto bias = random_floats(s.n, 5);
  auto c = random_floats(s.m * s.n, 6);
  const auto before = c;
  std::vector<float> packed(packed_bytes(s.n, s.k) / sizeof(float));
  std::vector<float> packed2(packed_bytes(s.n, s.k2) / sizeof(float));
  pack({.b = b.data(), .b_row = 1, .b_col = s.k}, s.k, s.n, packed.data());
  pack({.b = b2.data(), .b_row = s.n, .b_col = 1}, s.k2, s.n, packed2.data());
  GemmArgs g{.m = s.m, .n = s.n, .k = s.k, .a = a.data()};
  g.a_row = trans_a ? 1 : s.k;
  g.a_col = trans_a ? s.m : 1;
  use_packed(g, packed.data());
  g.k2 = s.k2;
  g.a2 = a2.data();
  g.a2_row = s.k2;
  g.b2 = packed2.data();
  g.bias = bias.data();
  g.c = c.data();
  g.c_row = s.n;
  g.alpha = 0.5f;
  g.clamps = true;
  g.low = -1;
  g.high = 1;
  g.accumulate = accumulate;
  gemm(g);
  for (int i = 0; i < s.m; ++i) {
    for (int j = 0; j < s.n; ++j) {
      const auto at = static_cast<size_t>(i * s.n + j);
      double sum = 0;
      for (int l = 0; l < s.k; ++l)
        sum += double{a[static_cast<size_t>(i * g.a_row + l * g.a_col)]} *
               b[static_cast<size_t>(j * s.k + l)];
      for (int l = 0; l < s.k2; ++l)
        sum += double{a2[static_cast<size_t>(i * s.k2 + l)]} *
               b2[static_cast<size_t>(l * s.n + j)];
      double want = bias[static_cast<size_t>(j)] + 0.5 * sum;
      if (accumulate) want += before[at];
      want = std::fmin(std::fmax(want, -1.0), 1.0);
      ASSERT_NEAR(c[at], want, 1e-5)
          << s.m << "x" << s.n << "x" << s.k << " at " << i << ", " << j;
    }
  }
}

// Runs `check` once for each instruction set.
template <class Check>
void for_each_target(Check check) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(target);
    check();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

TEST(Gemm, EqualsNaiveProductOnEveryTarget) {
  for_each_target([] {
    for (const Size& s :
         {Size{1, 1, 1, 0}, Size{5, 4, 64, 0}, Size{13, 37, 9, 3},
          Size{25, 64, 33, 4}, Size{12, 16, 0, 2}, Size{7, 80, 5, 1}}) {
      check_product(s, false, false);
      check_product(s, true, true);
    }
  });
}

TEST(Gemm, LetsNanPassTheClamp) {
  for_each_target([] {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> packed(kGemmPanel, 1.0f);
    float c = 0;
    GemmArgs g{.m = 1, .n = 1, .k = 1, .a = &nan};
    use_packed(g, packed.data());
    g.c = &c;
    g.c_row = 1;
    g.clamps = true;
    g.low = 0;
    g.high = 6;
    gemm(g);
    EXPECT_TRUE(std::isnan(c));
  });
}

TEST(Gemm, PacksInt8AsReals) {
  for_each_target([] {
    constexpr int kRows = 3, kColumns = 20;
    std::vector<int8_t> q(kRows * kColumns);
    for (size_t i = 0; i < q.size(); ++i) q[i] = static_cast<int8_t>(5 * i);
    const auto columns = random_floats(kColumns, 8);
    const auto rows = random_floats(kRows, 9);
    std::vector<float> packed(packed_bytes(kColumns, kRows) / sizeof(float));
    pack({.b = q.data(),
          .b_row = kColumns,
          .b_col = 1,
          .scale = 2,
          .zero_point = -7,
          .column_scale = columns.data(),
          .row_scale = rows.data()},
         kRows, kColumns, packed.data());
    for (int l = 0; l < kRows; ++l) {
      for (int j = 0; j < 2 * kGemmPanel; ++j) {
        const auto at = static_cast<size_t>(
            (j / kGemmPanel * kRows + l) * kGemmPanel + j % kGemmPanel);
        if (j >= kColumns) {
          EXPECT_EQ(packed[at], 0);
          continue;
        }
        const float real =
            static_cast<float>(q[static_cast<size_t>(l * kColumns + j)] + 7) *
            2 * rows[static_cast<size_t>(l)] * columns[static_cast<size_t>(j)];
        EXPECT_NEAR(packed[at], real, 1e-6 * std::fabs(real));
      }
    }
  });
}

}  // namespace
}  // namespace ft
