// int8 fully connected rows against an independent computation in int64 and
// extended floating point.
#include "kernels/fully_connected/fully_connected.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "base/random.h"
#include "kernels/fully_connected/grouped.h"
#include "kernels/quant/naive_s8.h"

namespace ft {
namespace {

constexpr uint64_t kSeed = 5;

struct Case {
  ft_fully_connected_params p{};
  std::vector<int8_t> x, w;
  std::vector<int32_t> bias, multiplier, shift;
  std::vector<float> h, lora_b, inv_acc_scale, gain;
};

Case random_case(uint64_t stream) {
  const Random random(kSeed, stream);
  uint64_t counter = 0;
  const auto between = [&](int low, int high) {
    return low + static_cast<int>(random.below(
                     counter++, static_cast<uint32_t>(high - low + 1)));
  };
  const auto fill = [&](auto& v, int count, int low, int high) {
    for (int i = 0; i < count; ++i)
      v.push_back(static_cast<
                  typename std::remove_reference_t<decltype(v)>::value_type>(
          between(low, high)));
  };
  Case c;
  const int most = between(0, 1) ? 9 : 60;  // a batch of requests, or more
  c.p = {.rows = between(0, 1) ? 1 : between(2, most),
         .n = between(1, 150),
         .k = between(1, 90),
         .rank = between(0, 1) ? between(1, 4) : 0,
         .act = FT_ACT_NONE,
         .gain_bias = between(0, 1),
         .x_zero_point = between(-128, 127),
         .y_zero_point = between(-128, 127),
         .q_low = -100,
         .q_high = 127,
         .x_scale = 1,
         .lora_scaling = 0.25f};
  fill(c.x, c.p.rows * c.p.k, -128, 127);
  fill(c.w, c.p.n * c.p.k, -127, 127);
  fill(c.bias, c.p.n, -9999, 9999);
  fill(c.multiplier, c.p.n, 1 << 30, INT32_MAX);
  fill(c.shift, c.p.n, -11, between(0, 3) ? -3 : 1);
  fill(c.h, c.p.rows * c.p.rank, -20, 20);
  fill(c.lora_b, c.p.n * c.p.rank, -20, 20);
  fill(c.inv_acc_scale, c.p.n, 1, 99);
  if (between(0, 1)) fill(c.gain, c.p.n, -1, 3);
  return c;
}

std::vector<int8_t> run(Case& c, const void* params, ft_kernel_fn kernel,
                        std::vector<const void*> aux, size_t scratch_bytes) {
  std::vector<int8_t> y(static_cast<size_t>(c.p.rows * c.p.n));
  std::vector<std::max_align_t> scratch(
      scratch_bytes / sizeof(std::max_align_t) + 1);
  void* in[] = {c.x.data(),
                c.w.data(),
                c.bias.data(),
                c.p.rank ? c.h.data() : nullptr,
                c.p.rank ? c.lora_b.data() : nullptr,
                c.gain.empty() ? nullptr : c.gain.data()};
  void* out[] = {y.data()};
  const ft_args args{in, aux.data(), out, scratch.data(), nullptr};
  kernel(params, &args);
  return y;
}

std::vector<int8_t> naive(const Case& c) {
  const auto at = [](int i) { return static_cast<size_t>(i); };
  std::vector<int8_t> y;
  for (int row = 0; row < c.p.rows; ++row) {
    for (int j = 0; j < c.p.n; ++j) {
      const bool bias_outside = !c.gain.empty() && !c.p.gain_bias;
      int64_t acc = bias_outside ? 0 : c.bias[at(j)];
      for (int l = 0; l < c.p.k; ++l)
        acc += (c.x[at(row * c.p.k + l)] - c.p.x_zero_point) *
               c.w[at(j * c.p.k + l)];
      float side = 0;
      for (int r = 0; r < c.p.rank; ++r)
        side += c.h[at(row * c.p.rank + r)] * c.lora_b[at(j * c.p.rank + r)];
      side *= c.p.lora_scaling;
      acc += c.gain.empty() ? naive_side(side, c.inv_acc_scale[at(j)])
                            : naive_gain(c.gain[at(j)], acc,
                                         side * c.inv_acc_scale[at(j)]);
      if (bias_outside) acc += c.bias[at(j)];
      y.push_back(naive_requantize_once(acc, c.multiplier[at(j)],
                                        c.shift[at(j)], c.p.y_zero_point,
                                        c.p.q_low, c.p.q_high));
    }
  }
  return y;
}

TEST(FullyConnectedS8, RowsEqualNaiveComputation) {
  for (uint64_t stream = 0; stream < 200; ++stream) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << " case " << stream);
    Case c = random_case(stream);
    const ft_fully_connected_params* p = &c.p;
    const std::vector<const void*> aux = {c.multiplier.data(), c.shift.data(),
                                          c.inv_acc_scale.data()};
    const auto want = naive(c);
    ASSERT_EQ(run(c, p, ft_fully_connected_s8_c99, aux, 0), want);
#if defined(__x86_64__)
    if (!ft_fully_connected_s8_avx512vnni_available()) continue;
    std::vector<std::byte> packed(
        ft_fully_connected_s8_avx512vnni_packed_bytes(p));
    std::vector<std::byte> channels(
        ft_fully_connected_s8_avx512vnni_channels_bytes(p));
    ft_fully_connected_s8_avx512vnni_pack(p, c.w.data(), c.bias.data(),
                                          c.multiplier.data(), c.shift.data(),
                                          packed.data(), channels.data());
    std::vector<const void*> with_packed = aux;
    with_packed.push_back(packed.data());
    with_packed.push_back(channels.data());
    ASSERT_EQ(run(c, p, ft_fully_connected_s8_avx512vnni, with_packed,
                  ft_fully_connected_s8_avx512vnni_scratch_bytes(p)),
              want);
#endif
  }
}

#if defined(__x86_64__)
// Each row with a lora_b of its own, against that row alone.
TEST(FullyConnectedS8, GroupedRowsEqualRowsAlone) {
  if (!ft_fully_connected_s8_avx512vnni_available()) GTEST_SKIP() << "no VNNI";
  for (uint64_t stream = 0; stream < 200; ++stream) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << " case " << stream);
    Case c = random_case(stream);
    if (c.p.rank == 0 || !c.gain.empty()) continue;
    const auto rows = static_cast<size_t>(c.p.rows),
               n = static_cast<size_t>(c.p.n), k = static_cast<size_t>(c.p.k),
               rank = static_cast<size_t>(c.p.rank);
    const std::vector<const void*> aux = {c.multiplier.data(), c.shift.data(),
                                          c.inv_acc_scale.data()};
    std::vector<std::byte> packed(
        ft_fully_connected_s8_avx512vnni_packed_bytes(&c.p));
    std::vector<std::byte> channels(
        ft_fully_connected_s8_avx512vnni_channels_bytes(&c.p));
    ft_fully_connected_s8_avx512vnni_pack(&c.p, c.w.data(), c.bias.data(),
                                          c.multiplier.data(), c.shift.data(),
                                          packed.data(), channels.data());
    std::vector<std::vector<float>> own;
    std::vector<int8_t> want;
    for (size_t row = 0; row < rows; ++row) {
      Case alone = c;
      alone.p.rows = 1;
      alone.x = {c.x.begin() + static_cast<ptrdiff_t>(row * k),
                 c.x.begin() + static_cast<ptrdiff_t>((row + 1) * k)};
      alone.h = {c.h.begin() + static_cast<ptrdiff_t>(row * rank),
                 c.h.begin() + static_cast<ptrdiff_t>((row + 1) * rank)};
      for (float& b : alone.lora_b) b += static_cast<float>(row) / 2;
      own.push_back(alone.lora_b);
      const auto y = run(alone, &alone.p, ft_fully_connected_s8_c99, aux, 0);
      want.insert(want.end(), y.begin(), y.end());
    }
    std::vector<const void*> factors, with_packed = aux;
    for (const auto& b : own) factors.push_back(b.data());
    with_packed.push_back(packed.data());
    with_packed.push_back(channels.data());
    std::vector<int8_t> y(rows * n);
    std::vector<std::max_align_t> scratch(
        ft_fully_connected_s8_avx512vnni_scratch_bytes(&c.p) /
            sizeof(std::max_align_t) +
        1);
    void* in[] = {c.x.data(), c.w.data(),     c.bias.data(),
                  c.h.data(), factors.data(), nullptr};
    void* out[] = {y.data()};
    const ft_args args{in, with_packed.data(), out, scratch.data(), nullptr};
    ft_fully_connected_grouped_s8_avx512vnni(&c.p, &args);
    ASSERT_EQ(y, want);
  }
}

// h = A x, each row with an A of its own, against that row alone: same order of
// sums, same bits.
TEST(FullyConnectedS8F32, GroupedRowsEqualRowsAlone) {
  if (!ft_fully_connected_s8_avx512vnni_available()) GTEST_SKIP() << "no VNNI";
  for (uint64_t stream = 0; stream < 100; ++stream) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << " case " << stream);
    const Random random(kSeed, 1000 + stream);
    const auto below = [&](uint64_t i, uint32_t n) {
      return static_cast<int32_t>(random.below(i, n));
    };
    ft_fully_connected_params p{};
    p.rows = 1 + below(0, 18);
    p.n = 1 + below(1, 9);
    p.k = 1 + below(2, 90);
    p.x_zero_point = below(3, 256) - 128;
    p.x_scale = 0.037f;
    const auto rows = static_cast<size_t>(p.rows), n = static_cast<size_t>(p.n),
               k = static_cast<size_t>(p.k);
    std::vector<int8_t> x(rows * k);
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<int8_t>(below(10 + i, 256) - 128);
    std::vector<std::vector<float>> own(rows);
    std::vector<float> want(rows * n), y(rows * n);
    std::vector<const void*> list;
    for (size_t row = 0; row < rows; ++row) {
      for (size_t i = 0; i < n * k; ++i)
        own[row].push_back(random.normal(10000 + row * n * k + i));
      list.push_back(own[row].data());
      ft_fully_connected_params alone = p;
      alone.rows = 1;
      void* in[] = {x.data() + row * k,
                    own[row].data(),
                    nullptr,
                    nullptr,
                    nullptr,
                    nullptr};
      void* out[] = {want.data() + row * n};
      const ft_args args{in, nullptr, out, nullptr, nullptr};
      ft_fully_connected_s8f32_c99(&alone, &args);
    }
    void* in[] = {x.data(), list.data(), nullptr, nullptr, nullptr, nullptr};
    void* out[] = {y.data()};
    const ft_args args{in, nullptr, out, nullptr, nullptr};
    ft_fully_connected_grouped_s8f32_avx512vnni(&p, &args);
    ASSERT_EQ(y, want);
  }
}
#endif

}  // namespace
}  // namespace ft
