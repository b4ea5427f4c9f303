// Random layers with a side in integers: AVX-512 rows against the C99 row, the
// grouped one with an adapter for each row.
#include "kernels/side_conv2d/side_conv2d.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "base/random.h"

namespace ft {
namespace {

constexpr uint64_t kSeed = 7;

struct Adapter {
  std::vector<int8_t> a;
  std::vector<int32_t> factor;
  std::vector<int16_t> b;
};

struct Case {
  ft_side_conv2d_params p{};
  std::vector<int8_t> x, w;
  std::vector<int32_t> bias, multiplier, shift;
  std::vector<Adapter> own;  // of each image
};

size_t pixels_of(const Case& c) {
  return static_cast<size_t>(ft_num_pixels(&c.p.conv));
}

class Draw {
 public:
  explicit Draw(uint64_t stream) : random_(kSeed, stream) {}
  int between(int low, int high) {
    return low + static_cast<int>(random_.below(
                     counter_++, static_cast<uint32_t>(high - low + 1)));
  }
  template <class T>
  std::vector<T> values(int count, int low, int high) {
    std::vector<T> v;
    for (int i = 0; i < count; ++i)
      v.push_back(static_cast<T>(between(low, high)));
    return v;
  }

 private:
  const Random random_;
  uint64_t counter_ = 0;
};

// Rows of a are padded with 0.
Adapter random_adapter(Draw& draw, const ft_conv_params& p) {
  const int window = p.k_h * p.k_w * p.in_c, row = ft_side_row(&p);
  Adapter made{draw.values<int8_t>(p.rank * row, -127, 127),
               draw.values<int32_t>(p.rank, 0, 1 << draw.between(16, 30)),
               draw.values<int16_t>(p.rank * p.out_c, -32767, 32767)};
  for (int i = 0; i < p.rank; ++i)
    for (int l = window; l < row; ++l)
      made.a[static_cast<size_t>(i * row + l)] = 0;
  return made;
}

Case random_case(uint64_t stream, bool dense) {
  Draw draw(stream);
  Case c;
  ft_conv_params& p = c.p.conv;
  p.batch = draw.between(1, dense ? (draw.between(0, 1) ? 9 : 60) : 2);
  p.k_h = dense ? 1 : draw.between(1, 3);
  p.k_w = dense ? 1 : draw.between(1, 3);
  p.in_h = dense ? 1 : draw.between(p.k_h, 9);
  p.in_w = dense ? 1 : draw.between(p.k_w, 9);
  p.in_c = draw.between(1, dense ? 150 : 40);
  p.out_c = draw.between(1, 100);
  p.stride_h = dense ? 1 : draw.between(1, 2);
  p.stride_w = dense ? 1 : draw.between(1, 2);
  p.dilation_h = p.dilation_w = 1;
  p.pad_top = p.k_h / 2;
  p.pad_left = p.k_w / 2;
  p.out_h = (p.in_h + p.stride_h - 1) / p.stride_h;
  p.out_w = (p.in_w + p.stride_w - 1) / p.stride_w;
  p.groups = 1;
  p.rank = 2 * draw.between(1, 10);
  p.x_zero_point = draw.between(-128, 127);
  p.y_zero_point = draw.between(-128, 127);
  p.q_low = draw.between(0, 1) ? -128 : p.y_zero_point;
  p.q_high = 127;
  c.p.round_once = dense;
  c.x = draw.values<int8_t>(p.batch * p.in_h * p.in_w * p.in_c, -128, 127);
  c.w = draw.values<int8_t>(p.out_c * p.k_h * p.k_w * p.in_c, -127, 127);
  c.bias = draw.values<int32_t>(p.out_c, -9999, 9999);
  c.multiplier = draw.values<int32_t>(p.out_c, 1 << 30, INT32_MAX);
  c.shift = draw.values<int32_t>(p.out_c, -12, draw.between(0, 3) ? -5 : 1);
  for (int i = 0; i < p.batch; ++i) c.own.push_back(random_adapter(draw, p));
  return c;
}

std::vector<int8_t> c99(Case& c, Adapter& adapter) {
  std::vector<int8_t> y(pixels_of(c) * static_cast<size_t>(c.p.conv.out_c));
  std::vector<int16_t> h(static_cast<size_t>(c.p.conv.rank));
  void* in[] = {c.x.data(),
                c.w.data(),
                c.bias.data(),
                adapter.a.data(),
                adapter.factor.data(),
                adapter.b.data()};
  const void* aux[] = {c.multiplier.data(), c.shift.data()};
  void* out[] = {y.data()};
  const ft_args args{in, aux, out, h.data(), nullptr};
  ft_side_conv2d_s8_c99(&c.p, &args);
  return y;
}

#if defined(__x86_64__)
// `side`: inputs 3 to 5.
std::vector<int8_t> vnni(Case& c, ft_kernel_fn row,
                         const std::vector<void*>& side) {
  std::vector<std::byte> packed(
      ft_side_conv2d_s8_avx512vnni_packed_bytes(&c.p));
  std::vector<std::byte> channels(
      ft_side_conv2d_s8_avx512vnni_channels_bytes(&c.p));
  ft_side_conv2d_s8_avx512vnni_pack(&c.p, c.w.data(), c.bias.data(),
                                    c.multiplier.data(), c.shift.data(),
                                    packed.data(), channels.data());
  std::vector<int8_t> y(pixels_of(c) * static_cast<size_t>(c.p.conv.out_c));
  std::vector<std::max_align_t> scratch(
      ft_side_conv2d_s8_avx512vnni_scratch_bytes(&c.p) /
          sizeof(std::max_align_t) +
      1);
  void* in[] = {c.x.data(), c.w.data(), c.bias.data(),
                side[0],    side[1],    side[2]};
  const void* aux[] = {c.multiplier.data(), c.shift.data(), packed.data(),
                       channels.data()};
  void* out[] = {y.data()};
  const ft_args args{in, aux, out, scratch.data(), nullptr};
  row(&c.p, &args);
  return y;
}

TEST(SideConv2dS8, VnniRowEqualsTheC99Row) {
  if (!ft_side_conv2d_s8_avx512vnni_available()) GTEST_SKIP();
  for (uint64_t stream = 0; stream < 300; ++stream) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << " case " << stream);
    Case c = random_case(stream, stream % 2 == 0);
    ASSERT_TRUE(ft_side_conv2d_s8_avx512vnni_accepts(&c.p));
    Adapter& one = c.own[0];
    ASSERT_EQ(vnni(c, ft_side_conv2d_s8_avx512vnni,
                   {one.a.data(), one.factor.data(), one.b.data()}),
              c99(c, one));
  }
}

TEST(SideConv2dS8, GroupedRowGivesEachRowItsAdapter) {
  if (!ft_side_conv2d_s8_avx512vnni_available()) GTEST_SKIP();
  for (uint64_t stream = 1000; stream < 1100; ++stream) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << " case " << stream);
    Case c = random_case(stream, true);
    const auto k = static_cast<ptrdiff_t>(c.p.conv.in_c);
    std::vector<int8_t> want;
    std::vector<void*> a, factor, b;
    for (size_t i = 0; i < c.own.size(); ++i) {
      Case alone = c;
      alone.p.conv.batch = 1;
      const auto from = c.x.begin() + static_cast<ptrdiff_t>(i) * k;
      alone.x = {from, from + k};
      const auto y = c99(alone, c.own[i]);
      want.insert(want.end(), y.begin(), y.end());
      a.push_back(c.own[i].a.data());
      factor.push_back(c.own[i].factor.data());
      b.push_back(c.own[i].b.data());
    }
    ASSERT_EQ(vnni(c, ft_side_conv2d_grouped_s8_avx512vnni,
                   {a.data(), factor.data(), b.data()}),
              want);
  }
}
#endif

}  // namespace
}  // namespace ft
