// int8 matmul against a naive product.
#include "kernels/matmul/matmul.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "kernels/quant/naive_s8.h"

namespace ft {
namespace {

std::vector<int8_t> random_s8(int n, uint64_t stream) {
  const Random random(31, stream);
  std::vector<int8_t> v(static_cast<size_t>(n));
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = static_cast<int8_t>(random.bits(i) & 255u);
  return v;
}

TEST(MatmulS8, EqualsNaiveProduct) {
  for (const int trans : {0, 1, 2, 3}) {
    ft_matmul_params p{};
    p.batch = 2;
    p.m = 4;
    p.n = 7;
    p.k = 9;
    p.trans_a = trans & 1;
    p.trans_b = trans >> 1;
    p.a_zero_point = -3;
    p.b_zero_point = 12;
    p.y_zero_point = -1;
    p.multiplier = 1717986918;
    p.shift = -8;
    auto a = random_s8(p.batch * p.m * p.k, 3);
    auto b = random_s8(p.batch * p.k * p.n, 4);
    std::vector<int8_t> c(static_cast<size_t>(p.batch * p.m * p.n)), want;
    for (int t = 0; t < p.batch; ++t) {
      for (int i = 0; i < p.m; ++i) {
        for (int j = 0; j < p.n; ++j) {
          int64_t sum = 0;
          for (int l = 0; l < p.k; ++l) {
            const int ia = p.trans_a ? l * p.m + i : i * p.k + l;
            const int ib = p.trans_b ? j * p.k + l : l * p.n + j;
            sum += (a[static_cast<size_t>(t * p.m * p.k + ia)] + 3) *
                   (b[static_cast<size_t>(t * p.k * p.n + ib)] - 12);
          }
          want.push_back(
              naive_requantize(sum, p.multiplier, p.shift, -1, -128, 127));
        }
      }
    }
    void* in[] = {a.data(), b.data()};
    void* out[] = {c.data()};
    const ft_args args{in, nullptr, out, nullptr, nullptr};
    ft_matmul_s8_c99(&p, &args);
    EXPECT_EQ(c, want);
  }
}

}  // namespace
}  // namespace ft
