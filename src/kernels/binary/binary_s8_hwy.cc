// int8 addition and subtraction; others stay with the C99 row.
#include "kernels/binary/binary.h"
#include "kernels/hwy_targets.h"
#include "kernels/quant/fixed_point.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/binary/binary_s8_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

// One lane has no wider type to multiply in.
#if HWY_TARGET != HWY_SCALAR
using D32 = hn::ScalableTag<int32_t>;
using V32 = hn::Vec<D32>;

// ft_rounding_doubling_high_mul() for a positive multiplier, where it is
// floor((x m + 2^30) / 2^31): even and odd lanes in 64 bits.
HWY_INLINE V32 high_mul(V32 x, int32_t multiplier) {
  const D32 d;
  const hn::RepartitionToWide<D32> wide;
  const hn::RebindToUnsigned<decltype(wide)> bits;
  const V32 m = hn::Set(d, multiplier);
  const auto nudge = hn::Set(wide, int64_t{1} << 30);
  const V32 odd_x = hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(bits, x)));
  const auto even = hn::Add(hn::MulEven(x, m), nudge);
  const auto odd = hn::Add(hn::MulEven(odd_x, m), nudge);
  return hn::OddEven(
      hn::BitCast(d, hn::ShiftLeft<1>(hn::BitCast(bits, odd))),
      hn::BitCast(d, hn::ShiftRight<31>(hn::BitCast(bits, even))));
}

// ft_rounding_shift_right() of |v| < 2^30.
HWY_INLINE V32 shift_right(V32 v, int32_t right) {
  const D32 d;
  const int32_t half = right > 0 ? 1 << (right - 1) : 0;
  const int32_t any = right > 0 ? -1 : 0;
  const V32 below = hn::And(hn::BroadcastSignBit(v), hn::Set(d, any));
  return hn::ShiftRightSame(hn::Add(hn::Add(v, hn::Set(d, half)), below),
                            right);
}

#endif

// Operand at row offset `i`, brought to the common scale.
//
// round(d 2^20 m / 2^31) for d = q - zero_point is d (m >> 11) plus the rounded
// share of m's last 11 bits, which fit into 32-bit lanes. The operand of the
// larger scale has m = 2^30 and needs one shift.
struct Operand {
  const int8_t* q;
  int32_t step, zero_point, multiplier, right;

  bool is_shift() const {
    return multiplier == 1 << 30 && right < FT_BINARY_LEFT_SHIFT;
  }

#if HWY_TARGET != HWY_SCALAR
  HWY_INLINE V32 load(int32_t i) const {
    const D32 d;
    const hn::Rebind<int8_t, D32> d8;
    const V32 raw = step ? hn::PromoteTo(d, hn::LoadU(d8, q + i))
                         : hn::Set(d, int32_t{q[0]});
    const V32 v = hn::Sub(raw, hn::Set(d, zero_point));
    if (is_shift())
      return hn::ShiftLeftSame(v, FT_BINARY_LEFT_SHIFT - 1 - right);
    const V32 high = hn::Mul(v, hn::Set(d, multiplier >> 11));
    const V32 low = hn::Mul(v, hn::Set(d, multiplier & 2047));
    const V32 share = hn::ShiftRight<11>(hn::Add(low, hn::Set(d, 1024)));
    return shift_right(hn::Add(high, share), right);
  }
#endif
  int32_t at(int32_t i) const {
    return ft_requantize(
        (q[i * step] - zero_point) * (1 << FT_BINARY_LEFT_SHIFT), multiplier,
        -right);
  }
};

HWY_INLINE void add_row(const ft_binary_params& p, int32_t n, Operand a,
                        Operand b, int8_t* y) {
  const bool add = p.kind == FT_BINARY_ADD;
  int32_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const D32 d;
  const hn::Rebind<int8_t, D32> d8;
  const auto step = static_cast<int32_t>(hn::Lanes(d));
  const int32_t right = -p.y_shift;
  for (; i + step <= n; i += step) {
    const V32 u = a.load(i), v = b.load(i);
    V32 q = shift_right(
        high_mul(add ? hn::Add(u, v) : hn::Sub(u, v), p.y_multiplier), right);
    q = hn::Add(q, hn::Set(d, p.y_zero_point));
    q = hn::Min(hn::Max(q, hn::Set(d, p.q_low)), hn::Set(d, p.q_high));
    hn::StoreU(hn::DemoteTo(d8, q), d8, y + i);
  }
#endif
  for (; i < n; ++i) {
    const int32_t u = a.at(i), v = b.at(i);
    const int32_t q =
        ft_requantize(add ? u + v : u - v, p.y_multiplier, p.y_shift);
    y[i] = static_cast<int8_t>(
        ft_clamp_i32(q + p.y_zero_point, p.q_low, p.q_high));
  }
}

void binary_s8(const ft_binary_params& p, const int8_t* a, const int8_t* b,
               int8_t* y) {
  const ft_strided_pair& pair = p.pair;
  const int32_t rows = ft_num_rows(&pair), last = pair.rank - 1;
  const int32_t n = pair.dims[last];
  ft_row row = {{0}, 0, 0};
  for (int32_t r = 0; r < rows; ++r, y += n) {
    const Operand from_a{a + row.a, pair.a_stride[last], p.a_zero_point,
                         p.a_multiplier, -p.a_shift};
    const Operand from_b{b + row.b, pair.b_stride[last], p.b_zero_point,
                         p.b_multiplier, -p.b_shift};
    add_row(p, n, from_a, from_b, y);
    ft_next_row(&pair, &row);
  }
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(binary_s8);
}  // namespace ft

int ft_binary_s8_hwy_accepts(const ft_binary_params* p) {
  const bool adds = p->kind == FT_BINARY_ADD || p->kind == FT_BINARY_SUB;
  return adds && p->left_shift == FT_BINARY_LEFT_SHIFT && p->a_shift <= 0 &&
         p->b_shift <= 0 && p->y_shift <= 0 && p->a_shift > -31 &&
         p->b_shift > -31 && p->y_shift > -31;
}

void ft_binary_s8_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(binary_s8)
  (*static_cast<const ft_binary_params*>(params),
   static_cast<const int8_t*>(args->in[0]),
   static_cast<const int8_t*>(args->in[1]), static_cast<int8_t*>(args->out[0]));
}
#endif  // HWY_ONCE
