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

// ft_requantize() with shift = -right <= 0.
HWY_INLINE V32 requantize(V32 x, int32_t multiplier, int32_t right) {
  const D32 d;
  const V32 v = high_mul(x, multiplier);
  const auto mask = static_cast<int32_t>((int64_t{1} << right) - 1);
  const V32 rest = hn::And(v, hn::Set(d, mask));
  const V32 threshold = hn::Sub(hn::Set(d, mask >> 1), hn::BroadcastSignBit(v));
  const V32 up = hn::VecFromMask(d, hn::Gt(rest, threshold));  // -1 or 0
  return hn::Sub(hn::ShiftRightSame(v, right), up);
}

#endif

// Operand at row offset `i`, brought to the common scale.
struct Operand {
  const int8_t* q;
  int32_t step, zero_point, multiplier, right;

#if HWY_TARGET != HWY_SCALAR
  HWY_INLINE V32 load(int32_t i, int32_t left_shift) const {
    const D32 d;
    const hn::Rebind<int8_t, D32> d8;
    const V32 v = step ? hn::PromoteTo(d, hn::LoadU(d8, q + i))
                       : hn::Set(d, int32_t{q[0]});
    return requantize(
        hn::ShiftLeftSame(hn::Sub(v, hn::Set(d, zero_point)), left_shift),
        multiplier, right);
  }
#endif
  int32_t at(int32_t i, int32_t left_shift) const {
    return ft_requantize((q[i * step] - zero_point) * (1 << left_shift),
                         multiplier, -right);
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
  for (; i + step <= n; i += step) {
    const V32 u = a.load(i, p.left_shift), v = b.load(i, p.left_shift);
    V32 q = requantize(add ? hn::Add(u, v) : hn::Sub(u, v), p.y_multiplier,
                       -p.y_shift);
    q = hn::Add(q, hn::Set(d, p.y_zero_point));
    q = hn::Min(hn::Max(q, hn::Set(d, p.q_low)), hn::Set(d, p.q_high));
    hn::StoreU(hn::DemoteTo(d8, q), d8, y + i);
  }
#endif
  for (; i < n; ++i) {
    const int32_t u = a.at(i, p.left_shift), v = b.at(i, p.left_shift);
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
  return adds && p->a_shift <= 0 && p->b_shift <= 0 && p->y_shift <= 0 &&
         p->a_shift > -31 && p->b_shift > -31 && p->y_shift > -31;
}

void ft_binary_s8_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(binary_s8)
  (*static_cast<const ft_binary_params*>(params),
   static_cast<const int8_t*>(args->in[0]),
   static_cast<const int8_t*>(args->in[1]), static_cast<int8_t*>(args->out[0]));
}
#endif  // HWY_ONCE
