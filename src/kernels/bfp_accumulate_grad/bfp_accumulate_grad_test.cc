// Sums of gradients of very different sizes against sums in double.
#include "kernels/bfp_accumulate_grad/bfp_accumulate_grad.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "base/random.h"

namespace ft {
namespace {

constexpr size_t kCount = 50;

struct Accumulator {
  std::vector<int32_t> acc = std::vector<int32_t>(kCount, 0);
  std::array<int32_t, 1> acc_exp{}, grad_exp{}, total_exp{};
  std::vector<int16_t> grad = std::vector<int16_t>(kCount, 0);
  std::vector<int16_t> total = std::vector<int16_t>(kCount, 0);
  std::array<int32_t, 12> hyper{};

  void run(bool hold) {
    const ft_bfp_accumulate_grad_params p{kCount, 0};
    hyper[10] = hold ? 1 : 0;
    void* in[] = {acc.data(), acc_exp.data(), grad.data(), grad_exp.data(),
                  hyper.data()};
    void* out[] = {total.data(), total_exp.data()};
    const ft_args args{in, nullptr, out, nullptr, nullptr};
    ft_bfp_accumulate_grad_c99(&p, &args);
  }
};

TEST(BfpAccumulateGrad, SumsAreThoseOfDoubles) {
  const Random random(6, "accumulate");
  Accumulator a;
  for (const int jump : {0, 1, 9, -9, 40}) {
    std::vector<double> sums(kCount, 0.0);
    double largest = 0;
    for (int run = 0; run < 20; ++run) {
      // Grows, shrinks, or is 0 in all elements, with any exponent.
      a.grad_exp[0] = -20 + run * jump % 60;
      for (size_t i = 0; i < kCount; ++i) {
        const auto draw =
            random.below(static_cast<uint64_t>(run) * kCount + i, 65535);
        a.grad[i] = static_cast<int16_t>(
            run % 7 == 5 ? 0 : static_cast<int32_t>(draw) - 32767);
        sums[i] += std::ldexp(a.grad[i], a.grad_exp[0]);
      }
      a.run(run < 19);
      if (run == 19) break;
      EXPECT_EQ(a.total, std::vector<int16_t>(kCount, 0));
    }
    for (const double v : sums) largest = std::max(largest, std::fabs(v));
    for (size_t i = 0; i < kCount; ++i)
      EXPECT_NEAR(std::ldexp(a.total[i], a.total_exp[0]), sums[i],
                  largest * 0x1p-14)
          << jump;
    // Ready for the next update.
    EXPECT_EQ(a.acc, std::vector<int32_t>(kCount, 0));
  }
}

// What the sum rounds away is far below what a gradient holds.
TEST(BfpAccumulateGrad, ManySmallOnesAreNotLost) {
  Accumulator a;
  a.grad_exp[0] = -10;
  a.grad[0] = 32767;
  a.grad[1] = 1;
  for (int run = 0; run < 1000; ++run) {
    a.run(true);
    a.grad[0] = 0;
  }
  a.run(false);
  EXPECT_EQ(a.total_exp[0], -10);
  EXPECT_EQ(a.total[0], 32767);
  EXPECT_EQ(a.total[1], 1001);
}

}  // namespace
}  // namespace ft
