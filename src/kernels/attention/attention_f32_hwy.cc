// Attention in tiles of queries: scores, probabilities and results are matrix
// products of gemm.h over one head's keys and values, packed once a key head.
#include <algorithm>
#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/hwy_targets.h"
#include "kernels/math/ft_math.h"
#include "kernels/matmul/gemm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/attention_f32_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "kernels/hwy_each-inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {

float max_of(const float* x, int32_t n) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int32_t>(hn::Lanes(d));
  auto max = hn::Set(d, x[0]);
  int32_t j = 0;
  for (; j + lanes <= n; j += lanes) max = hn::Max(max, hn::LoadU(d, x + j));
  float result = hn::GetLane(hn::MaxOfLanes(d, max));
  for (; j < n; ++j) result = std::max(result, x[j]);
  return result;
}

float sum_of(const float* x, int32_t n) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int32_t>(hn::Lanes(d));
  auto sum = hn::Zero(d);
  int32_t j = 0;
  for (; j + lanes <= n; j += lanes) sum = hn::Add(sum, hn::LoadU(d, x + j));
  float result = hn::GetLane(hn::SumOfLanes(d, sum));
  for (; j < n; ++j) result += x[j];
  return result;
}

// x = e^(x - shift)
void exp_each(float* x, int32_t n, float shift) {
  for_lanes(n, [&](auto d, int32_t j) HWY_ATTR {
    const auto t = hn::Sub(hn::LoadU(d, x + j), hn::Set(d, shift));
    hn::StoreU(exp_exact(d, t), d, x + j);
  });
}

// dp = scale * p * (dp - mean)
void score_grad(const float* p, int32_t n, float mean, float scale, float* dp) {
  for_lanes(n, [&](auto d, int32_t j) HWY_ATTR {
    const auto off = hn::Sub(hn::LoadU(d, dp + j), hn::Set(d, mean));
    const auto ds = hn::Mul(hn::LoadU(d, p + j), off);
    hn::StoreU(hn::Mul(hn::Set(d, scale), ds), d, dp + j);
  });
}

// x *= factor
void scale_each(float* x, int32_t n, float factor) {
  for_lanes(n, [&](auto d, int32_t j) HWY_ATTR {
    hn::StoreU(hn::Mul(hn::LoadU(d, x + j), hn::Set(d, factor)), d, x + j);
  });
}

}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {
HWY_EXPORT(max_of);
HWY_EXPORT(sum_of);
HWY_EXPORT(exp_each);
HWY_EXPORT(score_grad);
HWY_EXPORT(scale_each);

namespace {

using Params = ft_attention_params;

// Queries of a tile: enough to pay for reading the packed keys, few enough for
// the tile's scores to stay in the cache.
constexpr int kTile = 32;

size_t at(int i) { return static_cast<size_t>(i); }

size_t tile_floats(const Params& p) {
  return at(std::min(kTile, p.q_len)) * at(gemm_padded(p.kv_len));
}

// One sample and query head.
struct Head {
  ptrdiff_t query;  // its first element in q, y, dq, dy
  ptrdiff_t key;    // in k, v, dk, dv
  ptrdiff_t sum;    // in log_sum
  const int32_t* ids;
  bool first_of_group;  // of those that share its keys
};

template <class Body>
void for_each_head(const Params& p, const int32_t* ids, const Body& body) {
  const ptrdiff_t d = p.head_dim, group = p.heads / p.kv_heads;
  for (ptrdiff_t b = 0; b < p.batch; ++b)
    for (ptrdiff_t h = 0; h < p.heads; ++h)
      body(Head{.query = (b * p.q_len * p.heads + h) * d,
                .key = (b * p.kv_len * p.kv_heads + h / group) * d,
                .sum = (b * p.heads + h) * p.q_len,
                .ids = ids ? ids + b * p.kv_len : nullptr,
                .first_of_group = h % group == 0});
}

// Rows of one head's queries: m of them from `first`, and the keys they see.
struct Tile {
  int first, m, n;
};

template <class Body>
void for_each_tile(const Params& p, const Body& body) {
  for (int i = 0; i < p.q_len; i += kTile) {
    const int m = std::min(kTile, p.q_len - i);
    body(Tile{i, m, ft_attention_span(&p, i + m - 1)});
  }
}

// [kv_len, head_dim] of one head as the right side of a product, transposed or
// not.
void pack_keys(const Params& p, const float* k, bool transposed,
               float* packed) {
  const ptrdiff_t row = static_cast<ptrdiff_t>(p.kv_heads) * p.head_dim;
  if (transposed)
    pack({.b = k, .b_row = 1, .b_col = row}, p.head_dim, p.kv_len, packed);
  else
    pack({.b = k, .b_row = row, .b_col = 1}, p.kv_len, p.head_dim, packed);
}

// The tile's rows of q or dy times all keys or values: s [m, n].
void multiply_scores(const Params& p, const Tile& t, const float* q,
                     const float* packed, float alpha, float* s) {
  GemmArgs g{.m = t.m, .n = t.n, .k = p.head_dim};
  g.a_row = static_cast<ptrdiff_t>(p.heads) * p.head_dim;
  g.a = q + t.first * g.a_row;
  use_packed(g, packed);
  g.c = s;
  g.c_row = gemm_padded(p.kv_len);
  g.alpha = alpha;
  gemm(g);
}

// s [m, n] times packed [kv_len, head_dim]: the tile's rows of y or dq. Panels
// of the packed side are kv_len long, of which the first n rows count.
void multiply_values(const Params& p, const Tile& t, const float* s,
                     const float* packed, float* y) {
  GemmArgs g{.m = t.m, .n = p.head_dim, .k = t.n, .a = s};
  g.a_row = gemm_padded(p.kv_len);
  use_packed(g, packed);
  g.b_panel = static_cast<ptrdiff_t>(p.kv_len) * kGemmPanel;
  g.c_row = static_cast<ptrdiff_t>(p.heads) * p.head_dim;
  g.c = y + t.first * g.c_row;
  gemm(g);
}

// dk or dv [n, head_dim] += s^T [n, m] times the tile's rows of q or dy.
void accumulate_keys(const Params& p, const Tile& t, const float* s,
                     const float* q, float* packed, float* dk) {
  const ptrdiff_t row = static_cast<ptrdiff_t>(p.heads) * p.head_dim;
  pack({.b = q + t.first * row, .b_row = row, .b_col = 1}, t.m, p.head_dim,
       packed);
  GemmArgs g{.m = t.n, .n = p.head_dim, .k = t.m, .a = s, .a_row = 1};
  g.a_col = gemm_padded(p.kv_len);
  use_packed(g, packed);
  g.c = dk;
  g.c_row = static_cast<ptrdiff_t>(p.kv_heads) * p.head_dim;
  g.accumulate = true;
  gemm(g);
}

// Scores of unseen keys give e^-inf = 0. False: the query sees no key.
bool hide(const Params& p, const Head& head, int span, int n, float* s) {
  bool any = head.ids == nullptr;
  for (int j = 0; head.ids && j < span; ++j) {
    if (head.ids[j] == p.pad) s[j] = -HUGE_VALF;
    any = any || head.ids[j] != p.pad;
  }
  std::fill(s + span, s + n, -HUGE_VALF);
  return any;
}

void attend(const Params& p, const Head& head, const Tile& t, float* s,
            const float* values, float* y, float* log_sum) {
  float inverse[kTile];
  for (int i = 0; i < t.m; ++i) {
    float* const row = s + i * gemm_padded(p.kv_len);
    float* const out = log_sum + head.sum + t.first + i;
    inverse[i] = *out = 0;
    if (!hide(p, head, ft_attention_span(&p, t.first + i), t.n, row)) {
      std::fill(row, row + t.n, 0.0f);
      continue;
    }
    const float max = HWY_DYNAMIC_DISPATCH(max_of)(row, t.n);
    HWY_DYNAMIC_DISPATCH(exp_each)(row, t.n, max);
    const float sum = HWY_DYNAMIC_DISPATCH(sum_of)(row, t.n);
    inverse[i] = 1 / sum;
    *out = max + ft_logf(sum);
  }
  multiply_values(p, t, s, values, y + head.query);
  const ptrdiff_t row = static_cast<ptrdiff_t>(p.heads) * p.head_dim;
  for (int i = 0; i < t.m; ++i) HWY_DYNAMIC_DISPATCH(scale_each)
  (y + head.query + (t.first + i) * row, p.head_dim, inverse[i]);
}

struct GradArgs {
  const float *dy, *q, *k, *v, *y, *log_sum;
  const float* dlog_sum;
  float *dq, *dk, *dv;
};

// Turns the tile's scores into probabilities and dp into the scores' gradient.
void scores_backward(const Params& p, const Head& head, const Tile& t,
                     const GradArgs& a, float* s, float* dp) {
  for (int i = 0; i < t.m; ++i) {
    float* const row = s + i * gemm_padded(p.kv_len);
    const ptrdiff_t n = head.sum + t.first + i;
    const ptrdiff_t query =
        head.query + static_cast<ptrdiff_t>(t.first + i) * p.heads * p.head_dim;
    float mean = a.dlog_sum ? -a.dlog_sum[n] : 0;
    for (int c = 0; c < p.head_dim; ++c)
      mean += a.dy[query + c] * a.y[query + c];
    hide(p, head, ft_attention_span(&p, t.first + i), t.n, row);
    HWY_DYNAMIC_DISPATCH(exp_each)(row, t.n, a.log_sum[n]);
    HWY_DYNAMIC_DISPATCH(score_grad)
    (row, t.n, mean, p.scale, dp + i * gemm_padded(p.kv_len));
  }
}

// The scratch of the gradient, one after the other.
struct GradScratch {
  float *keys, *keys_t, *values_t, *rows, *s, *dp;
};

size_t packed_floats(int n, int k) {
  return packed_bytes(n, k) / sizeof(float);
}

void backward_tile(const Params& p, const Head& head, const Tile& t,
                   const GradArgs& a, const GradScratch& x) {
  const float *q = a.q + head.query, *dy = a.dy + head.query;
  multiply_scores(p, t, q, x.keys_t, p.scale, x.s);
  multiply_scores(p, t, dy, x.values_t, 1, x.dp);
  scores_backward(p, head, t, a, x.s, x.dp);
  multiply_values(p, t, x.dp, x.keys, a.dq + head.query);
  accumulate_keys(p, t, x.dp, q, x.rows, a.dk + head.key);
  accumulate_keys(p, t, x.s, dy, x.rows, a.dv + head.key);
}

}  // namespace
}  // namespace ft

size_t ft_attention_hwy_scratch_bytes(const ft_attention_params* p) {
  return ft::packed_bytes(p->kv_len, p->head_dim) +
         ft::packed_bytes(p->head_dim, p->kv_len) +
         sizeof(float) * ft::tile_floats(*p);
}

size_t ft_attention_grad_hwy_scratch_bytes(const ft_attention_params* p) {
  return 2 * ft::packed_bytes(p->kv_len, p->head_dim) +
         ft::packed_bytes(p->head_dim, p->kv_len) +
         ft::packed_bytes(p->head_dim, ft::kTile) +
         2 * sizeof(float) * ft::tile_floats(*p);
}

void ft_attention_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  const auto& p = *static_cast<const Params*>(params);
  const auto* q = static_cast<const float*>(args->in[0]);
  const auto* k = static_cast<const float*>(args->in[1]);
  const auto* v = static_cast<const float*>(args->in[2]);
  auto* keys = static_cast<float*>(args->scratch);
  float* const values = keys + packed_floats(p.kv_len, p.head_dim);
  float* const s = values + packed_floats(p.head_dim, p.kv_len);
  for_each_head(
      p, static_cast<const int32_t*>(args->in[3]), [&](const Head& head) {
        if (head.first_of_group) pack_keys(p, k + head.key, true, keys);
        if (head.first_of_group) pack_keys(p, v + head.key, false, values);
        for_each_tile(p, [&](const Tile& t) {
          multiply_scores(p, t, q + head.query, keys, p.scale, s);
          attend(p, head, t, s, values, static_cast<float*>(args->out[0]),
                 static_cast<float*>(args->out[1]));
        });
      });
}

void ft_attention_grad_f32_hwy(const void* params, const ft_args* args) {
  using namespace ft;
  const auto& p = *static_cast<const Params*>(params);
  const auto in = [args](int i) {
    return static_cast<const float*>(args->in[i]);
  };
  const auto out = [args](int i) { return static_cast<float*>(args->out[i]); };
  const GradArgs a{in(0), in(1), in(2),  in(3),  in(4),
                   in(5), in(7), out(0), out(1), out(2)};
  const size_t keys = static_cast<size_t>(p.batch) * at(p.kv_len) *
                      at(p.kv_heads) * at(p.head_dim);
  std::fill_n(a.dk, keys, 0.0f);
  std::fill_n(a.dv, keys, 0.0f);
  GradScratch x{};
  x.keys = static_cast<float*>(args->scratch);
  x.keys_t = x.keys + packed_floats(p.head_dim, p.kv_len);
  x.values_t = x.keys_t + packed_floats(p.kv_len, p.head_dim);
  x.rows = x.values_t + packed_floats(p.kv_len, p.head_dim);
  x.s = x.rows + packed_floats(p.head_dim, kTile);
  x.dp = x.s + tile_floats(p);
  for_each_head(
      p, static_cast<const int32_t*>(args->in[6]), [&](const Head& head) {
        if (head.first_of_group) {
          pack_keys(p, a.k + head.key, false, x.keys);
          pack_keys(p, a.k + head.key, true, x.keys_t);
          pack_keys(p, a.v + head.key, true, x.values_t);
        }
        for_each_tile(p,
                      [&](const Tile& t) { backward_tile(p, head, t, a, x); });
      });
}
#endif  // HWY_ONCE
