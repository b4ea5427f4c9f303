#include "kernels/binary/binary.h"
#include "kernels/hwy_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/binary/binary_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

// v[i], or v[0] where the operand is broadcast.
template <class D>
HWY_INLINE hn::Vec<D> load(D d, const float* v, int32_t step, int32_t i) {
  return step ? hn::LoadU(d, v + i) : hn::Set(d, v[0]);
}

template <class Op>
HWY_INLINE void run_rows(const ft_binary_params& p, const float* a,
                         const float* b, float* y, const Op& op) {
  const ft_strided_pair& pair = p.pair;
  const int32_t rows = ft_num_rows(&pair), last = pair.rank - 1;
  const int32_t n = pair.dims[last], act = p.act;
  const int32_t sa = pair.a_stride[last], sb = pair.b_stride[last];
  ft_row row = {{0}, 0, 0};
  for (int32_t r = 0; r < rows; ++r, y += n) {
    const float *from_a = a + row.a, *from_b = b + row.b;
    for_lanes(n, [&](auto d, int32_t i) HWY_ATTR {
      const auto v = op(d, load(d, from_a, sa, i), load(d, from_b, sb, i));
      hn::StoreU(apply_act(d, v, act), d, y + i);
    });
    ft_next_row(&pair, &row);
  }
}

#define FT_OP(expression)                                    \
  run_rows(p, a, b, y, [](auto d, auto u, auto v) HWY_ATTR { \
    (void)d;                                                 \
    return expression;                                       \
  })

void binary_f32(const ft_binary_params& p, const float* a, const float* b,
                float* y) {
  switch (p.kind) {
    case FT_BINARY_ADD: return FT_OP(hn::Add(u, v));
    case FT_BINARY_SUB: return FT_OP(hn::Sub(u, v));
    case FT_BINARY_MUL: return FT_OP(hn::Mul(u, v));
    case FT_BINARY_DIV: return FT_OP(hn::Div(u, v));
    case FT_BINARY_MAXIMUM: return FT_OP(hn::IfThenElse(hn::Gt(u, v), u, v));
    case FT_BINARY_MINIMUM: return FT_OP(hn::IfThenElse(hn::Lt(u, v), u, v));
    default: return FT_OP(hn::Mul(hn::Sub(u, v), hn::Sub(u, v)));
  }
}
#undef FT_OP

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(binary_f32);
}  // namespace ft

void ft_binary_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(binary_f32)
  (*static_cast<const ft_binary_params*>(params),
   static_cast<const float*>(args->in[0]),
   static_cast<const float*>(args->in[1]), static_cast<float*>(args->out[0]));
}
#endif  // HWY_ONCE
