// Vectors lie along the gates: every sum keeps the order of the C99 row.
#include "kernels/hwy_targets.h"
#include "kernels/lstm/lstm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/lstm/lstm_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

// Registers that hold sums while a run of columns walks down the rows.
constexpr int kSums = 8;

// out[j] = start[j] + sum over l of v[l] m[l, j]; start NULL: 0. m: [rows, n].
template <int kCount, class D>
HWY_INLINE void weighted_columns(D d, const float* start, const float* m,
                                 const float* v, int32_t rows, int32_t n,
                                 float* out) {
  const auto lanes = hn::Lanes(d);
  hn::Vec<D> sum[kCount];
  FT_UNROLL
  for (int i = 0; i < kCount; ++i)
    sum[i] = start ? hn::LoadU(d, start + static_cast<size_t>(i) * lanes)
                   : hn::Zero(d);
  for (int32_t l = 0; l < rows; ++l, m += n) {
    const auto w = hn::Set(d, v[l]);
    FT_UNROLL
    for (int i = 0; i < kCount; ++i)
      sum[i] = mul_then_add(hn::LoadU(d, m + static_cast<size_t>(i) * lanes), w,
                            sum[i]);
  }
  FT_UNROLL
  for (int i = 0; i < kCount; ++i)
    hn::StoreU(sum[i], d, out + static_cast<size_t>(i) * lanes);
}

void weighted_rows(const float* start, const float* m, const float* v,
                   int32_t rows, int32_t n, float* out) {
  const hn::ScalableTag<float> full;
  const hn::CappedTag<float, 1> single;
  const auto lanes = static_cast<int32_t>(hn::Lanes(full));
  const auto from = [&](int32_t j) { return start ? start + j : nullptr; };
  int32_t j = 0;
  for (; j + kSums * lanes <= n; j += kSums * lanes)
    weighted_columns<kSums>(full, from(j), m + j, v, rows, n, out + j);
  for (; j + lanes <= n; j += lanes)
    weighted_columns<1>(full, from(j), m + j, v, rows, n, out + j);
  for (; j < n; ++j)
    weighted_columns<1>(single, from(j), m + j, v, rows, n, out + j);
}

// lstm_cell() of lstm_cell.h.
void cell(const ft_lstm_params& p, float* a, const float* c_before, float* h,
          float* c) {
  const int32_t n = p.hidden;
  float *f = p.coupled ? a : a + n, *g = f + n, *o = g + n;
  for_lanes(n, [&](auto d, int32_t k) HWY_ATTR {
    const auto one = hn::Set(d, 1.0f), clip = hn::Set(d, p.cell_clip);
    const auto fk = logistic(d, hn::LoadU(d, f + k));
    const auto gk = tanh_exact(d, hn::LoadU(d, g + k));
    const auto ok = logistic(d, hn::LoadU(d, o + k));
    const auto ik =
        p.coupled ? hn::Sub(one, fk) : logistic(d, hn::LoadU(d, a + k));
    auto sum = hn::Mul(ik, gk);
    if (c_before) sum = mul_then_add(fk, hn::LoadU(d, c_before + k), sum);
    if (p.cell_clip > 0) {
      const auto low = hn::Neg(clip);
      sum = hn::IfThenElse(hn::Lt(sum, low), low,
                           hn::IfThenElse(hn::Gt(sum, clip), clip, sum));
    }
    if (!p.coupled) hn::StoreU(ik, d, a + k);
    hn::StoreU(fk, d, f + k);
    hn::StoreU(gk, d, g + k);
    hn::StoreU(ok, d, o + k);
    hn::StoreU(sum, d, c + k);
    hn::StoreU(hn::Mul(ok, tanh_exact(d, sum)), d, h + k);
  });
}

void lstm(const ft_lstm_params& p, const float* swapped, const ft_args* args) {
  const int32_t n = p.hidden, width = ft_lstm_width(&p);
  const auto* gates_x = static_cast<const float*>(args->in[0]);
  auto* gates = static_cast<float*>(args->out[0]);
  auto* h = static_cast<float*>(args->out[1]);
  auto* c = static_cast<float*>(args->out[2]);
  for (int32_t b = 0; b < p.batch; ++b) {
    for (int32_t t = 0; t < p.time; ++t) {
      const int32_t row = ft_lstm_row(&p, b, t);
      const int32_t last = t ? ft_lstm_row(&p, b, t - 1) : 0;
      float* a = gates + row * width;
      weighted_rows(gates_x + row * width, swapped, h + last * n, t ? n : 0,
                    width, a);
      cell(p, a, t ? c + last * n : nullptr, h + row * n, c + row * n);
    }
  }
}

struct Saved {
  const float *gates, *c, *dh, *dgates, *dc;
};

// lstm_cell_grad() of lstm_cell.h.
void cell_grad(const ft_lstm_params& p, const Saved& s, int32_t row,
               int32_t before, const float* dh, float* dc, float* da) {
  const int32_t n = p.hidden, width = ft_lstm_width(&p);
  const int32_t jf = p.coupled ? 0 : n, jg = jf + n, jo = jg + n;
  const float* gates = s.gates + row * width;
  const float* extra = s.dgates ? s.dgates + row * width : nullptr;
  for_lanes(n, [&](auto d, int32_t k) HWY_ATTR {
    const auto load = [&](const float* x)
                          HWY_ATTR { return hn::LoadU(d, x + k); };
    const auto slope = [&](auto v)
                           HWY_ATTR { return hn::Sub(hn::Set(d, 1.0f), v); };
    const auto f = load(gates + jf), g = load(gates + jg), o = load(gates + jo);
    const auto i = p.coupled ? slope(f) : load(gates);
    const auto c = load(s.c + row * n), squashed = tanh_exact(d, c);
    auto dhk = load(dh);
    if (s.dh) dhk = hn::Add(dhk, load(s.dh + row * n));
    auto dck = hn::Add(
        load(dc), hn::Mul(hn::Mul(dhk, o), slope(hn::Mul(squashed, squashed))));
    if (s.dc) dck = hn::Add(dck, load(s.dc + row * n));
    if (p.cell_clip > 0)
      dck = hn::IfThenElse(hn::Ge(hn::Abs(c), hn::Set(d, p.cell_clip)),
                           hn::Zero(d), dck);
    auto di = hn::Mul(dck, g), dg = hn::Mul(dck, i);
    auto df = hn::Zero(d), d_o = hn::Mul(dhk, squashed);
    if (before >= 0) df = hn::Mul(dck, load(s.c + before * n));
    if (p.coupled) df = hn::Sub(df, di);
    if (extra) {
      if (!p.coupled) di = hn::Add(di, load(extra));
      df = hn::Add(df, load(extra + jf));
      dg = hn::Add(dg, load(extra + jg));
      d_o = hn::Add(d_o, load(extra + jo));
    }
    if (!p.coupled) hn::StoreU(hn::Mul(hn::Mul(di, i), slope(i)), d, da + k);
    hn::StoreU(hn::Mul(hn::Mul(df, f), slope(f)), d, da + jf + k);
    hn::StoreU(hn::Mul(dg, slope(hn::Mul(g, g))), d, da + jg + k);
    hn::StoreU(hn::Mul(hn::Mul(d_o, o), slope(o)), d, da + jo + k);
    hn::StoreU(hn::Mul(dck, f), d, dc + k);
  });
}

void lstm_grad(const ft_lstm_params& p, const ft_args* args) {
  const auto in = [&](int i) { return static_cast<const float*>(args->in[i]); };
  const int32_t n = p.hidden, width = ft_lstm_width(&p);
  const Saved saved{in(0), in(1), in(3), in(4), in(5)};
  auto* da = static_cast<float*>(args->out[0]);
  auto* dh = static_cast<float*>(args->scratch);
  float* dc = dh + n;
  for (int32_t b = 0; b < p.batch; ++b) {
    for (int32_t k = 0; k < 2 * n; ++k) dh[k] = 0;
    for (int32_t t = p.time - 1; t >= 0; --t) {
      const int32_t row = ft_lstm_row(&p, b, t);
      const int32_t before = t ? ft_lstm_row(&p, b, t - 1) : -1;
      cell_grad(p, saved, row, before, dh, dc, da + row * width);
      if (t) weighted_rows(nullptr, in(2), da + row * width, width, n, dh);
    }
  }
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(lstm);
HWY_EXPORT(lstm_grad);
}  // namespace ft

void ft_lstm_swap_axes(const ft_lstm_params* p, const float* r,
                       float* swapped) {
  const int32_t n = p->hidden, width = ft_lstm_width(p);
  for (int32_t j = 0; j < width; ++j)
    for (int32_t k = 0; k < n; ++k) swapped[k * width + j] = r[j * n + k];
}

void ft_lstm_f32_hwy_swapped(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(lstm)
  (*static_cast<const ft_lstm_params*>(params),
   static_cast<const float*>(args->aux[0]), args);
}

void ft_lstm_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  const auto& p = *static_cast<const ft_lstm_params*>(params);
  auto* swapped = static_cast<float*>(args->scratch);
  ft_lstm_swap_axes(&p, static_cast<const float*>(args->in[1]), swapped);
  HWY_DYNAMIC_DISPATCH(lstm)(p, swapped, args);
}

void ft_lstm_grad_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  HWY_DYNAMIC_DISPATCH(lstm_grad)
  (*static_cast<const ft_lstm_params*>(params), args);
}
#endif  // HWY_ONCE
