// Loops and float functions that the Highway rows of element-wise kernels
// share. Compiled once per target: include after hwy/foreach_target.h.
//
// Nothing here fuses a multiplication with an addition, so rows built from it
// have the bits of their C99 rows.
#if defined(FT_KERNELS_HWY_EACH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FT_KERNELS_HWY_EACH_INL_H_
#undef FT_KERNELS_HWY_EACH_INL_H_
#else
#define FT_KERNELS_HWY_EACH_INL_H_
#endif

#include <cstdint>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// body(d, i) for i = 0 ... n - 1 in steps of d's lanes: full vectors, then
// single elements. `body` is a lambda marked HWY_ATTR.
template <class Body>
HWY_INLINE void for_lanes(int32_t n, const Body& body) {
  const hn::ScalableTag<float> full;
  const hn::CappedTag<float, 1> single;
  const auto step = static_cast<int32_t>(hn::Lanes(full));
  int32_t i = 0;
  for (; i + step <= n; i += step) body(full, i);
  for (; i < n; ++i) body(single, i);
}

// to = factor * x
HWY_INLINE void scale_row(int32_t n, float factor, const float* x, float* to) {
  for_lanes(n, [&](auto d, int32_t i) HWY_ATTR {
    hn::StoreU(hn::Mul(hn::Set(d, factor), hn::LoadU(d, x + i)), d, to + i);
  });
}

// a * b + c in two roundings.
template <class V>
HWY_INLINE V mul_then_add(V a, V b, V c) {
  return hn::Add(hn::Mul(a, b), c);
}

// ft_apply_act() of kernels/real.h.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V apply_act(D d, V v, int32_t act) {
  if (act == 0) return v;
  const V low = hn::Set(d, act == 3 ? -1.0f : 0.0f);
  v = hn::IfThenElse(hn::Lt(v, low), low, v);
  if (act == 1) return v;
  const V high = hn::Set(d, act == 3 ? 1.0f : 6.0f);
  return hn::IfThenElse(hn::Gt(v, high), high, v);
}

// 2^n for integers n in [-126, 127].
template <class D, class VI>
HWY_INLINE hn::Vec<D> power_of_two(D d, VI n) {
  const hn::RebindToSigned<D> di;
  return hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(n, hn::Set(di, 127))));
}

// ft_expf(): the same operations; see kernels/math/ft_math.c.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_exact(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V round = hn::Set(d, 12582912.0f);
  const V z = mul_then_add(x, hn::Set(d, 0x1.715476p+0f), round);
  const V k = hn::Sub(z, round);
  const auto n = hn::Sub(hn::BitCast(di, z), hn::BitCast(di, round));
  const V r = hn::Sub(hn::Sub(x, hn::Mul(k, hn::Set(d, 0x1.63p-1f))),
                      hn::Mul(k, hn::Set(d, -0x1.bd0106p-13f)));
  V p = hn::Set(d, 0x1.6d1606p-10f);
  p = mul_then_add(p, r, hn::Set(d, 0x1.12106cp-7f));
  p = mul_then_add(p, r, hn::Set(d, 0x1.555516p-5f));
  p = mul_then_add(p, r, hn::Set(d, 0x1.5554d8p-3f));
  p = mul_then_add(p, r, hn::Set(d, 0.5f));
  p = hn::Add(hn::Set(d, 1.0f), hn::Add(r, hn::Mul(hn::Mul(r, r), p)));
  // However 2^n is split, only the last product can round.
  const auto half = hn::ShiftRight<1>(n);
  p = hn::Mul(hn::Mul(p, power_of_two(d, half)),
              power_of_two(d, hn::Sub(n, half)));
  const V infinity = hn::BitCast(d, hn::Set(di, 0x7f800000));
  p = hn::IfThenElse(hn::Gt(x, hn::Set(d, 88.7228394f)), infinity, p);
  p = hn::IfThenElse(hn::Lt(x, hn::Set(d, -103.972084f)), hn::Zero(d), p);
  return hn::IfThenElse(hn::Eq(x, x), p, x);
}

// ft_logistic() of kernels/unary/unary_math.h.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V logistic(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, exp_exact(d, hn::Neg(x))));
}

// ft_tanhf(): both of its branches, then the one that counts.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V tanh_exact(D d, V x) {
  const V a = hn::Abs(x), z = hn::Mul(x, x), one = hn::Set(d, 1.0f);
  V p = hn::Set(d, -0x1.9ada6p-8f);
  p = mul_then_add(p, z, hn::Set(d, 0x1.59e1c8p-6f));
  p = mul_then_add(p, z, hn::Set(d, -0x1.b955dcp-5f));
  p = mul_then_add(p, z, hn::Set(d, 0x1.110eep-3f));
  p = mul_then_add(p, z, hn::Set(d, -0x1.555554p-2f));
  const V small = hn::Add(a, hn::Mul(a, hn::Mul(z, p)));
  const V e = exp_exact(d, hn::Add(a, a));
  V large = hn::Sub(one, hn::Div(hn::Set(d, 2.0f), hn::Add(e, one)));
  large = hn::IfThenElse(hn::Lt(a, hn::Set(d, 9.02f)), large, one);
  const V y = hn::IfThenElse(hn::Lt(a, hn::Set(d, 0.6f)), small, large);
  const V sign = hn::And(x, hn::Set(d, -0.0f));
  return hn::IfThenElse(hn::Eq(x, x), hn::Or(y, sign), x);
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // include guard, toggled per target
