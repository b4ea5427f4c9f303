// The schedule of AdaLoRA's rank allocation; training against HF PEFT's
// allocator is in tests/python/test_adalora.py.
#include "kernels/adalora/adalora.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/select/select.h"

namespace {

struct Allocator {
  ft_adalora_allocate_params params;
  std::vector<float> score, kept, mask, scratch;
  float steps = 0;

  explicit Allocator(const ft_adalora_allocate_params& p)
      : params(p),
        score(static_cast<size_t>(p.count)),
        kept(score),
        mask(score),
        scratch(FT_SELECT_DIGITS) {
    for (size_t i = 0; i < score.size(); ++i) score[i] = static_cast<float>(i);
  }

  // How many triplets stay in one run.
  int run(bool hold = false) {
    float hyper[4] = {0, 0, 0, hold ? 1.0f : 0.0f};
    void* in[] = {score.data(), kept.data(), &steps, hyper};
    void* out[] = {mask.data()};
    const ft_args args{in, nullptr, out, scratch.data(), nullptr};
    ft_adalora_allocate_f32_c99(&params, &args);
    int left = 0;
    for (const float m : mask) left += m != 0 ? 1 : 0;
    return left;
  }
};

TEST(AdaloraAllocate, BudgetsAreRoundedAsPythonRoundsThem) {
  for (const int n : {3, 5, 6, 9, 10, 12})
    for (int target = 1; target <= 3; ++target) {
      const int count = target + n * n * n;
      Allocator a({.count = count,
                   .target = target,
                   .tinit = 0,
                   .tfinal = 0,
                   .total_step = n,
                   .delta_t = 1});
      for (int t = 1; t <= n; ++t) {
        const double left = 1 - static_cast<double>(t) / n;
        const auto budget =
            static_cast<int>((count - target) * std::pow(left, 3) + target);
        EXPECT_EQ(a.run(), budget) << count << " to " << target << " at " << t;
      }
    }
}

TEST(AdaloraAllocate, FollowsTheScheduleAndKeepsItsLastChoice) {
  Allocator a({.count = 8,
               .target = 3,
               .tinit = 2,
               .tfinal = 3,
               .total_step = 10,
               .delta_t = 3});
  std::vector<int> left;
  for (int t = 1; t <= 7; ++t) left.push_back(a.run());
  // Due at 3, 6 and the end of the way, 7; between them all may come back.
  EXPECT_EQ(left, (std::vector<int>{8, 8, 5, 8, 8, 3, 3}));
  for (size_t i = 0; i < 8; ++i) a.score[i] = -a.score[i];
  EXPECT_EQ(a.run(true), 8);  // adds gradients up, allocates nothing
  EXPECT_EQ(a.run(), 3);
  EXPECT_EQ(a.mask[7], 1);
  EXPECT_EQ(a.mask[0], 0);
}

}  // namespace
