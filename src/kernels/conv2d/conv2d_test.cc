// int8 convolution rows against a naive one, over random geometries.
#include "kernels/conv2d/conv2d.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/random.h"
#include "kernels/quant/naive_s8.h"

namespace ft {
namespace {

constexpr uint64_t kSeed = 20240607;

// Draws of one random case, in order.
class Draws {
 public:
  explicit Draws(uint64_t stream) : random_(kSeed, stream) {}
  int below(int n) {
    return static_cast<int>(
        random_.below(counter_++, static_cast<uint32_t>(n)));
  }
  int between(int low, int high) { return low + below(high - low + 1); }
  template <class T>
  std::vector<T> fill(int n, int low, int high, float scale = 1) {
    std::vector<T> v(static_cast<size_t>(n));
    for (T& e : v)
      e = static_cast<T>(static_cast<float>(between(low, high)) * scale);
    return v;
  }

 private:
  Random random_;
  uint64_t counter_ = 0;
};

struct Case {
  ft_conv_params p{};
  std::vector<int8_t> x, w;
  std::vector<int32_t> bias, multiplier, shift;
  std::vector<float> h, lora_b, inv_acc_scale, gain;
  bool has_bias = true;

  int pixels() const { return ft_num_pixels(&p); }
  int inputs() const { return p.in_c / p.groups; }
};

int output_size(int in, int k, int stride, int dilation, int pad) {
  return (in + pad - ((k - 1) * dilation + 1)) / stride + 1;
}

ft_conv_params random_params(Draws& d) {
  ft_conv_params p{};
  p.groups = d.below(4) == 0 ? 2 : 1;
  p.batch = d.between(1, 2);
  p.in_c = p.groups * d.between(1, 20);
  p.out_c = p.groups * d.between(1, 70);
  p.k_h = d.between(1, 4);
  p.k_w = d.between(1, 3);
  p.stride_h = d.between(1, 2);
  p.stride_w = d.between(1, 3);
  p.dilation_h = d.between(1, 2);
  p.dilation_w = d.between(1, 2);
  p.pad_top = d.between(0, 2);
  p.pad_left = d.between(0, 2);
  p.in_h = (p.k_h - 1) * p.dilation_h + d.between(1, 6);
  if (d.below(8) == 0) {
    // Does not fit into one strip of the AVX-512 row.
    p.in_h += 24;
    p.in_c = p.groups * d.between(60, 120);
    p.out_c = p.groups * d.between(1, 4);
  }
  p.in_w = (p.k_w - 1) * p.dilation_w + d.between(1, 6);
  p.out_h = output_size(p.in_h, p.k_h, p.stride_h, p.dilation_h,
                        p.pad_top + d.between(0, 2));
  p.out_w = output_size(p.in_w, p.k_w, p.stride_w, p.dilation_w,
                        p.pad_left + d.between(0, 2));
  p.rank = d.below(2) ? d.between(1, 5) : 0;
  p.x_zero_point = d.between(-128, 127);
  p.y_zero_point = d.between(-128, 127);
  p.q_low = d.between(-128, 0);
  p.q_high = d.between(1, 127);
  p.x_scale = 1;
  p.lora_scaling = 0.5f;
  return p;
}

Case random_case(uint64_t stream) {
  Draws d(stream);
  Case c;
  c.p = random_params(d);
  const int k = c.p.k_h * c.p.k_w * c.inputs();
  c.x = d.fill<int8_t>(c.p.batch * c.p.in_h * c.p.in_w * c.p.in_c, -128, 127);
  c.w = d.fill<int8_t>(c.p.out_c * k, -127, 127);
  c.bias = d.fill<int32_t>(c.p.out_c, -30000, 30000);
  c.has_bias = d.below(4) != 0;
  c.multiplier = d.fill<int32_t>(c.p.out_c, 1 << 23, (1 << 24) - 1, 128);
  // A quarter of the cases has factors above 1/2, which take another path.
  const bool large = d.below(4) == 0;
  c.shift = d.fill<int32_t>(c.p.out_c, large ? -3 : -12, large ? 2 : -4);
  // Few bits, so that float sums are exact in any order.
  c.h = d.fill<float>(c.pixels() * c.p.rank, -16, 16, 0.25f);
  c.lora_b = d.fill<float>(c.p.out_c * c.p.rank, -16, 16, 0.125f);
  c.inv_acc_scale = d.fill<float>(c.p.out_c, 1, 4000);
  c.p.gain_bias = d.below(2) == 0;
  if (d.below(2)) c.gain = d.fill<float>(c.p.out_c, -2, 6, 0.5f);
  return c;
}

int64_t naive_sum(const Case& c, int n, int oy, int ox, int co) {
  const ft_conv_params& p = c.p;
  int64_t sum = 0;
  for (int ci = 0; ci < c.inputs(); ++ci) {
    for (int kx = 0; kx < p.k_w; ++kx) {
      for (int ky = 0; ky < p.k_h; ++ky) {
        const int iy = oy * p.stride_h - p.pad_top + ky * p.dilation_h;
        const int ix = ox * p.stride_w - p.pad_left + kx * p.dilation_w;
        if (iy < 0 || ix < 0 || iy >= p.in_h || ix >= p.in_w) continue;
        const int channel = co / (p.out_c / p.groups) * c.inputs() + ci;
        const int at = ((n * p.in_h + iy) * p.in_w + ix) * p.in_c + channel;
        const int wt = ((co * p.k_h + ky) * p.k_w + kx) * c.inputs() + ci;
        sum += (int64_t{c.x[static_cast<size_t>(at)]} - p.x_zero_point) *
               c.w[static_cast<size_t>(wt)];
      }
    }
  }
  return sum;
}

std::vector<int8_t> naive_conv2d(const Case& c) {
  const ft_conv_params& p = c.p;
  std::vector<int8_t> y;
  for (int pixel = 0; pixel < c.pixels(); ++pixel) {
    for (int co = 0; co < p.out_c; ++co) {
      const auto at = static_cast<size_t>(co);
      int64_t acc = naive_sum(c, pixel / (p.out_h * p.out_w),
                              pixel / p.out_w % p.out_h, pixel % p.out_w, co);
      const int64_t bias = c.has_bias ? c.bias[at] : 0;
      const bool bias_outside = !c.gain.empty() && !p.gain_bias;
      if (!bias_outside) acc += bias;
      float side = 0;
      for (int i = 0; i < p.rank; ++i)
        side += c.h[static_cast<size_t>(pixel * p.rank + i)] *
                c.lora_b[static_cast<size_t>(co * p.rank + i)];
      side *= p.lora_scaling;
      acc += c.gain.empty()
                 ? naive_side(side, c.inv_acc_scale[at])
                 : naive_gain(c.gain[at], acc, side * c.inv_acc_scale[at]);
      if (bias_outside) acc += bias;
      y.push_back(naive_requantize(acc, c.multiplier[at], c.shift[at],
                                   p.y_zero_point, p.q_low, p.q_high));
    }
  }
  return y;
}

std::vector<int8_t> run(Case& c, ft_kernel_fn kernel,
                        std::vector<const void*> aux, size_t scratch_bytes) {
  std::vector<int8_t> y(static_cast<size_t>(c.pixels() * c.p.out_c));
  std::vector<std::max_align_t> scratch(
      scratch_bytes / sizeof(std::max_align_t) + 1);
  void* in[] = {c.x.data(),
                c.w.data(),
                c.has_bias ? c.bias.data() : nullptr,
                c.p.rank ? c.h.data() : nullptr,
                c.p.rank ? c.lora_b.data() : nullptr,
                c.gain.empty() ? nullptr : c.gain.data()};
  void* out[] = {y.data()};
  const ft_args args{in, aux.data(), out, scratch.data(), nullptr};
  kernel(&c.p, &args);
  return y;
}

TEST(Conv2dS8, RowsEqualNaiveConvolution) {
  for (uint64_t stream = 0; stream < 200; ++stream) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << " case " << stream);
    Case c = random_case(stream);
    const std::vector<int8_t> want = naive_conv2d(c);
    const std::vector<const void*> aux = {c.multiplier.data(), c.shift.data(),
                                          c.inv_acc_scale.data()};
    ASSERT_EQ(run(c, ft_conv2d_s8_c99, aux, 0), want);
#if defined(__x86_64__)
    if (!ft_conv2d_s8_avx512vnni_available() ||
        !ft_conv2d_s8_avx512vnni_accepts(&c.p))
      continue;
    std::vector<std::byte> packed(ft_conv2d_s8_avx512vnni_packed_bytes(&c.p));
    std::vector<std::byte> channels(
        ft_conv2d_s8_avx512vnni_channels_bytes(&c.p));
    ft_conv2d_s8_avx512vnni_pack(
        &c.p, c.w.data(), c.has_bias ? c.bias.data() : nullptr,
        c.multiplier.data(), c.shift.data(), packed.data(), channels.data());
    std::vector<const void*> with_packed = aux;
    with_packed.push_back(packed.data());
    with_packed.push_back(channels.data());
    ASSERT_EQ(run(c, ft_conv2d_s8_avx512vnni, with_packed,
                  ft_conv2d_s8_avx512vnni_scratch_bytes(&c.p)),
              want);
#endif
  }
}

}  // namespace
}  // namespace ft
