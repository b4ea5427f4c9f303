// int8 depthwise rows against conv2d with as many groups as channels, whose
// rows are tested on their own. Whole-numbered w_delta in units of w's scale
// must act as if added to w.
#include "kernels/depthwise_conv2d/depthwise_conv2d.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "base/random.h"
#include "kernels/conv2d/conv2d.h"

namespace ft {
namespace {

constexpr uint64_t kSeed = 99;

struct Case {
  ft_conv_params p{};
  std::vector<int8_t> x, w, grouped_w;  // grouped_w: [c, kh, kw, 1] + delta
  std::vector<float> delta, ones, gain;
  std::vector<int32_t> bias, multiplier, shift;
};

Case random_case(uint64_t stream) {
  const Random random(kSeed, stream);
  uint64_t counter = 0;
  const auto between = [&](int low, int high) {
    return low + static_cast<int>(random.below(
                     counter++, static_cast<uint32_t>(high - low + 1)));
  };
  Case c;
  ft_conv_params& p = c.p;
  constexpr int kChannels[] = {1, 3, 8, 16, 24, 64, 100, 128};
  p.in_c = kChannels[between(0, 7)];
  const int multiplier = between(0, 5) == 0 ? 2 : 1;
  p.out_c = p.in_c * multiplier;
  p.groups = p.in_c;
  p.batch = between(1, 2);
  p.k_h = between(1, 4);
  p.k_w = between(1, 4);
  p.stride_h = between(1, 2);
  p.stride_w = between(1, 3);
  p.dilation_h = between(1, 2);
  p.dilation_w = between(1, 2);
  p.pad_top = between(0, 3);
  p.pad_left = between(0, 3);
  p.in_h = between(1, 5) + (p.k_h - 1) * p.dilation_h;
  p.in_w = between(1, 5) + (p.k_w - 1) * p.dilation_w;
  p.out_h =
      (p.in_h + p.pad_top + between(0, 2) - (p.k_h - 1) * p.dilation_h - 1) /
          p.stride_h +
      1;
  p.out_w =
      (p.in_w + p.pad_left + between(0, 2) - (p.k_w - 1) * p.dilation_w - 1) /
          p.stride_w +
      1;
  p.x_zero_point = between(-128, 127);
  p.y_zero_point = between(-20, 20);
  p.q_low = -128;
  p.q_high = between(60, 127);
  p.x_scale = 1;
  p.lora_scaling = 1;
  const int taps = p.k_h * p.k_w;
  for (int i = 0; i < p.batch * p.in_h * p.in_w * p.in_c; ++i)
    c.x.push_back(static_cast<int8_t>(between(-128, 127)));
  const bool has_delta = between(0, 1) == 1;
  c.grouped_w.resize(static_cast<size_t>(taps * p.out_c));
  for (int tap = 0; tap < taps; ++tap) {
    for (int co = 0; co < p.out_c; ++co) {
      const int w = between(-63, 63), extra = has_delta ? between(-63, 63) : 0;
      c.w.push_back(static_cast<int8_t>(w));
      if (has_delta) c.delta.push_back(static_cast<float>(extra));
      c.grouped_w[static_cast<size_t>(co * taps + tap)] =
          static_cast<int8_t>(w + extra);
    }
  }
  const bool large = between(0, 3) == 0;
  for (int co = 0; co < p.out_c; ++co) {
    c.ones.push_back(1);
    c.bias.push_back(between(-20000, 20000));
    c.multiplier.push_back(between(1 << 30, INT32_MAX));
    c.shift.push_back(large ? between(-2, 1) : between(-9, -4));
  }
  p.gain_bias = between(0, 1);
  for (int co = 0; co < p.out_c; ++co)
    c.gain.push_back(static_cast<float>(between(-2, 5)) * 0.5f);
  if (between(0, 1)) c.gain.clear();
  return c;
}

std::vector<int8_t> run(Case& c, bool grouped, ft_kernel_fn kernel,
                        std::vector<const void*> aux, size_t scratch_bytes) {
  std::vector<int8_t> y(static_cast<size_t>(ft_num_pixels(&c.p) * c.p.out_c));
  std::vector<std::max_align_t> scratch(
      scratch_bytes / sizeof(std::max_align_t) + 1);
  void* in[] = {
      c.x.data(),    grouped ? c.grouped_w.data() : c.w.data(),
      c.bias.data(), grouped || c.delta.empty() ? nullptr : c.delta.data(),
      nullptr,       c.gain.empty() ? nullptr : c.gain.data()};
  void* out[] = {y.data()};
  const ft_args args{in, aux.data(), out, scratch.data(), nullptr};
  kernel(&c.p, &args);
  return y;
}

TEST(DepthwiseConv2dS8, RowsEqualGroupedConvolution) {
  for (uint64_t stream = 0; stream < 300; ++stream) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << " case " << stream);
    Case c = random_case(stream);
    const std::vector<const void*> aux = {c.multiplier.data(), c.shift.data(),
                                          c.ones.data()};
    const auto want = run(c, true, ft_conv2d_s8_c99, aux, 0);
    ASSERT_EQ(run(c, false, ft_depthwise_conv2d_s8_c99, aux, 0), want);
#if defined(__x86_64__)
    const ft_conv_params* p = &c.p;
    if (!ft_depthwise_conv2d_s8_avx512vnni_available() ||
        !ft_depthwise_conv2d_s8_avx512vnni_accepts(p))
      continue;
    std::vector<std::byte> packed(
        ft_depthwise_conv2d_s8_avx512vnni_packed_bytes(p));
    std::vector<std::byte> channels(
        ft_depthwise_conv2d_s8_avx512vnni_channels_bytes(p));
    const auto pack = c.delta.empty()
                          ? ft_depthwise_conv2d_s8_avx512vnni_pack
                          : ft_depthwise_conv2d_s8_avx512vnni_pack_beside;
    pack(p, c.w.data(), c.bias.data(), c.multiplier.data(), c.shift.data(),
         packed.data(), channels.data());
    std::vector<const void*> with_packed = aux;
    with_packed.push_back(packed.data());
    with_packed.push_back(channels.data());
    ASSERT_EQ(run(c, false, ft_depthwise_conv2d_s8_avx512vnni, with_packed,
                  ft_depthwise_conv2d_s8_avx512vnni_scratch_bytes(
                      p, !c.delta.empty(), c.gain.empty() ? 0 : 2)),
              want);
#endif
  }
}

}  // namespace
}  // namespace ft
