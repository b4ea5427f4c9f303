#include <algorithm>
#include <cstring>

#include "kernels/hwy_targets.h"
#include "kernels/matmul/gemm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/matmul/gemm_hwy.cc"
#include "hwy/foreach_target.h"
// After foreach_target.
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace ft::HWY_NAMESPACE {
namespace {  // other files have functions of these names
namespace hn = hwy::HWY_NAMESPACE;

using Tag = hn::CappedTag<float, kGemmPanel>;
using V = hn::Vec<Tag>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(Tag()));
// Vectors of a panel row, panels and rows of a tile: the sums of a tile fill
// the registers but for those that hold a row of b and an element of a.
constexpr int kPerPanel = kGemmPanel / kLanes;
#if HWY_TARGET <= HWY_AVX3
constexpr int kPanels = 2, kRows = 12;
#elif HWY_ARCH_ARM_A64
constexpr int kPanels = 1, kRows = 6;
#else
constexpr int kPanels = 1, kRows = kPerPanel == 2 ? 6 : 3;
#endif

// sums += a b for kR rows and kP panels.
template <int kR, int kP>
HWY_INLINE void add_product(int k, const float* HWY_RESTRICT a, ptrdiff_t a_row,
                            ptrdiff_t a_col, const float* HWY_RESTRICT b,
                            ptrdiff_t b_panel, ptrdiff_t b_row,
                            V (&sum)[kR][kP * kPerPanel]) {
  const Tag d;
  // A pointer for three rows: address arithmetic, not the products, limited
  // narrow tiles with one base for all.
  const float* from[(kR + 2) / 3];
  FT_UNROLL for (int i = 0; i < kR; i += 3) from[i / 3] = a + i * a_row;
  for (int l = 0; l < k; ++l) {
    V row[kP * kPerPanel];
    FT_UNROLL for (int v = 0; v < kP * kPerPanel; ++v) row[v] =
        hn::LoadU(d, b + v / kPerPanel * b_panel + v % kPerPanel * kLanes);
    FT_UNROLL for (int i = 0; i < kR; ++i) {
      const V x = hn::Set(d, from[i / 3][i % 3 * a_row]);
      FT_UNROLL for (int v = 0; v < kP * kPerPanel; ++v) sum[i][v] =
          hn::MulAdd(x, row[v], sum[i][v]);
    }
    FT_UNROLL for (int i = 0; i < kR; i += 3) from[i / 3] += a_col;
    b += b_row;
  }
}

// One vector of c from its sum: scale, bias, what was in c, clamp.
HWY_INLINE V finish(const GemmArgs& g, V sum, V scale, V bias, const float* c) {
  const Tag d;
  V v = hn::MulAdd(sum, scale, bias);
  if (g.accumulate) v = hn::Add(v, hn::LoadU(d, c));
  if (!g.clamps) return v;
  const V low = hn::Set(d, g.low), high = hn::Set(d, g.high);
  v = hn::IfThenElse(hn::Lt(v, low), low, v);
  return hn::IfThenElse(hn::Gt(v, high), high, v);
}

// Rows first .. first + kR of c, panels panel .. panel + kP.
template <int kR, int kP>
void run_tile(const GemmArgs& g, int first, int panel) {
  const Tag d;
  constexpr int kVectors = kP * kPerPanel, kWidth = kP * kGemmPanel;
  V sum[kR][kVectors];
  FT_UNROLL for (int i = 0; i < kR; ++i) {
    FT_UNROLL for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::Zero(d);
  }
  if (g.k > 0)  // a and b may be null otherwise
    add_product<kR, kP>(g.k, g.a + first * g.a_row, g.a_row, g.a_col,
                        g.b + panel * g.b_panel, g.b_panel, g.b_row, sum);
  if (g.k2 > 0) {
    const ptrdiff_t panel2 = static_cast<ptrdiff_t>(g.k2) * kGemmPanel;
    add_product<kR, kP>(g.k2, g.a2 + first * g.a2_row, g.a2_row, 1,
                        g.b2 + panel * panel2, panel2, kGemmPanel, sum);
  }
  const int j0 = panel * kGemmPanel, columns = std::min(kWidth, g.n - j0);
  const bool whole = columns == kWidth;
  float bias[kWidth] = {}, scale[kWidth], buffer[kWidth] = {};
  if (g.bias)
    std::memcpy(bias, g.bias + j0,
                sizeof(float) * static_cast<size_t>(columns));
  if (g.column_scale)
    for (int j = 0; j < kWidth; ++j)
      scale[j] = j < columns ? g.alpha * g.column_scale[j0 + j] : 0;
  const V alpha = hn::Set(d, g.alpha);
  FT_UNROLL for (int i = 0; i < kR; ++i) {
    float* const c = g.c + (first + i) * g.c_row + j0;
    const size_t bytes = sizeof(float) * static_cast<size_t>(columns);
    float* const to = whole ? c : buffer;
    if (!whole && g.accumulate) std::memcpy(buffer, c, bytes);
    FT_UNROLL for (int v = 0; v < kVectors; ++v) {
      const V s = g.column_scale ? hn::LoadU(d, scale + v * kLanes) : alpha;
      const V b = hn::LoadU(d, bias + v * kLanes);
      hn::StoreU(finish(g, sum[i][v], s, b, to + v * kLanes), d,
                 to + v * kLanes);
    }
    if (!whole) std::memcpy(c, buffer, bytes);
  }
}

// Calls run_tile for the last rows, fewer than kRows.
template <int kR, int kP>
void run_rest(const GemmArgs& g, int first, int panel) {
  if constexpr (kR > 0) {
    if (g.m - first == kR)
      run_tile<kR, kP>(g, first, panel);
    else
      run_rest<kR - 1, kP>(g, first, panel);
  }
}

template <int kP>
void run_columns(const GemmArgs& g, int panel) {
  int first = 0;
  for (; first + kRows <= g.m; first += kRows)
    run_tile<kRows, kP>(g, first, panel);
  run_rest<kRows - 1, kP>(g, first, panel);
}

void run(const GemmArgs& g) {
  const int panels = gemm_padded(g.n) / kGemmPanel;
  int panel = 0;
  for (; panel + kPanels <= panels; panel += kPanels)
    run_columns<kPanels>(g, panel);
  if constexpr (kPanels > 1)
    for (; panel < panels; ++panel) run_columns<1>(g, panel);
}

// What is not 0 in a row of a: which rows of b it belongs to, and the values.
struct SkipList {
  int32_t* at;
  float* value;
  int count;
};

void list_row(const GemmArgs& g, int i, SkipList& list) {
  const Tag d;
  const hn::Rebind<int32_t, Tag> d32;
  const float* const a = g.a + i * g.a_row;
  auto at = hn::Iota(d32, 0);
  int l = 0;
  list.count = 0;
  // Compressed in a register: storing what is compressed is slow on Zen 4.
  for (; g.a_col == 1 && l + kLanes <= g.k; l += kLanes) {
    const V v = hn::LoadU(d, a + l);
    const auto is_kept = hn::Ne(v, hn::Zero(d));
    hn::StoreU(hn::Compress(v, is_kept), d, list.value + list.count);
    hn::StoreU(hn::Compress(at, hn::RebindMask(d32, is_kept)), d32,
               list.at + list.count);
    list.count += static_cast<int>(hn::CountTrue(d, is_kept));
    at = hn::Add(at, hn::Set(d32, kLanes));
  }
  for (; l < g.k; ++l) {
    list.value[list.count] = a[l * g.a_col];
    list.at[list.count] = l;
    list.count += a[l * g.a_col] != 0;
  }
}

// Panels panel .. panel + kP of row i of c.
template <int kP>
void run_listed(const GemmArgs& g, int i, int panel, const SkipList& list) {
  const Tag d;
  V sum[kP * kPerPanel];
  FT_UNROLL for (int v = 0; v < kP * kPerPanel; ++v) sum[v] = hn::Zero(d);
  const float* const b = g.b + panel * g.b_panel;
  for (int t = 0; t < list.count; ++t) {
    const V x = hn::Set(d, list.value[t]);
    const float* const row = b + list.at[t] * g.b_row;
    FT_UNROLL for (int v = 0; v < kP * kPerPanel; ++v) sum[v] = hn::MulAdd(
        x,
        hn::LoadU(d, row + v / kPerPanel * g.b_panel + v % kPerPanel * kLanes),
        sum[v]);
  }
  const V scale = hn::Set(d, g.alpha);
  float bias[kGemmPanel] = {}, buffer[kGemmPanel];
  FT_UNROLL for (int p = 0; p < kP; ++p) {
    const int j = (panel + p) * kGemmPanel;
    const int columns = std::min(kGemmPanel, g.n - j);
    const size_t bytes = sizeof(float) * static_cast<size_t>(columns);
    float* const c = g.c + i * g.c_row + j;
    float* const to = columns == kGemmPanel ? c : buffer;
    if (g.bias) std::memcpy(bias, g.bias + j, bytes);
    FT_UNROLL for (int v = 0; v < kPerPanel; ++v)
        hn::StoreU(finish(g, sum[p * kPerPanel + v], scale,
                          hn::LoadU(d, bias + v * kLanes), nullptr),
                   d, to + v * kLanes);
    if (to == buffer) std::memcpy(c, buffer, bytes);
  }
}

void run_skip(const GemmArgs& g, int32_t* at, float* value) {
  constexpr int kWide = HWY_TARGET <= HWY_AVX3 ? 4 : 1;
  const int panels = gemm_padded(g.n) / kGemmPanel;
  SkipList list{at, value, 0};
  for (int i = 0; i < g.m; ++i) {
    list_row(g, i, list);
    int panel = 0;
    for (; panel + kWide <= panels; panel += kWide)
      run_listed<kWide>(g, i, panel, list);
    for (; panel < panels; ++panel) run_listed<1>(g, i, panel, list);
  }
}

// Sums of the lanes of four vectors, to out[0 .. 4).
HWY_INLINE void sum_lanes(V a, V b, V c, V e, float* out) {
#if HWY_TARGET == HWY_SCALAR
  out[0] = hn::GetLane(a);
  out[1] = hn::GetLane(b);
  out[2] = hn::GetLane(c);
  out[3] = hn::GetLane(e);
#else
  const Tag d;
  const hn::Repartition<double, Tag> d64;
  const hn::CappedTag<float, 4> d4;
  // Blocks of four lanes: [a02 b02 a13 b13], likewise c and e, then [a b c e].
  const auto ab = hn::BitCast(
      d64, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
  const auto ce = hn::BitCast(
      d64, hn::Add(hn::InterleaveLower(d, c, e), hn::InterleaveUpper(d, c, e)));
  const V sums = hn::Add(hn::BitCast(d, hn::InterleaveLower(d64, ab, ce)),
                         hn::BitCast(d, hn::InterleaveUpper(d64, ab, ce)));
  HWY_ALIGN float blocks[kGemmPanel];
  hn::Store(sums, d, blocks);
  auto sum = hn::Load(d4, blocks);
  FT_UNROLL for (int i = 4; i < kLanes; i += 4) sum =
      hn::Add(sum, hn::Load(d4, blocks + i));
  hn::StoreU(sum, d4, out);
#endif
}

// kR rows of c, columns j .. j + 4.
template <int kR>
HWY_INLINE void run_narrow_tile(const NarrowArgs& g, int i0, int j) {
  const Tag d;
  const float* a = g.a + i0 * g.a_row;
  const float* b = g.bt + static_cast<ptrdiff_t>(j) * g.k;
  V sum[kR][kNarrowColumns];
  FT_UNROLL for (int i = 0; i < kR; ++i) {
    FT_UNROLL for (int v = 0; v < kNarrowColumns; ++v) sum[i][v] = hn::Zero(d);
  }
  for (int l = 0; l < g.k; l += kLanes) {
    FT_UNROLL for (int i = 0; i < kR; ++i) {
      const V x = hn::LoadU(d, a + i * g.a_row + l);
      FT_UNROLL for (int v = 0; v < kNarrowColumns; ++v) sum[i][v] =
          hn::MulAdd(x, hn::LoadU(d, b + v * g.k + l), sum[i][v]);
    }
  }
  FT_UNROLL for (int i = 0; i < kR; ++i) {
    float four[kNarrowColumns];
    float* const c = g.c + (i0 + i) * g.c_row + j;
    sum_lanes(sum[i][0], sum[i][1], sum[i][2], sum[i][3], four);
    for (int v = 0; v < std::min(kNarrowColumns, g.n - j); ++v)
      c[v] = g.alpha * four[v];
  }
}

void run_narrow(const NarrowArgs& g) {
  constexpr int kTileRows = HWY_TARGET <= HWY_AVX3 ? 4 : 2;
  for (int j = 0; j < g.n; j += kNarrowColumns) {
    int i = 0;
    for (; i + kTileRows <= g.m; i += kTileRows)
      run_narrow_tile<kTileRows>(g, i, j);
    for (; i < g.m; ++i) run_narrow_tile<1>(g, i, j);
  }
}

void dequantize(const int8_t* q, int count, int32_t zero_point, float scale,
                float* out) {
  const Tag d;
  const hn::Rebind<int8_t, Tag> d8;
  const hn::Rebind<int32_t, Tag> d32;
  const auto zero = hn::Set(d32, zero_point);
  const V factor = hn::Set(d, scale);
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const auto v = hn::Sub(hn::PromoteTo(d32, hn::LoadU(d8, q + i)), zero);
    hn::StoreU(hn::Mul(hn::ConvertTo(d, v), factor), d, out + i);
  }
  for (; i < count; ++i) out[i] = static_cast<float>(q[i] - zero_point) * scale;
}

HWY_INLINE V load_as_float(const float* b, hn::Vec<hn::Rebind<int32_t, Tag>>) {
  return hn::LoadU(Tag(), b);
}
HWY_INLINE V load_as_float(const int8_t* b,
                           hn::Vec<hn::Rebind<int32_t, Tag>> zero) {
  const hn::Rebind<int8_t, Tag> d8;
  const hn::Rebind<int32_t, Tag> d32;
  return hn::ConvertTo(Tag(),
                       hn::Sub(hn::PromoteTo(d32, hn::LoadU(d8, b)), zero));
}

// Packs the panel at column j0, whose columns are neighbours in memory.
template <class T>
void pack_neighbours(const PackSource<T>& s, int k, int j0, float* packed) {
  const Tag d;
  const auto zero = hn::Set(hn::Rebind<int32_t, Tag>(), s.zero_point);
  const V one = hn::Set(d, 1.0f);
  for (int l = 0; l < k; ++l) {
    const V row = hn::Set(d, s.row_scale ? s.scale * s.row_scale[l] : s.scale);
    const T* from = s.b + l * s.b_row + j0;
    FT_UNROLL for (int v = 0; v < kPerPanel; ++v) {
      const V column =
          s.column_scale ? hn::LoadU(d, s.column_scale + j0 + v * kLanes) : one;
      const V x = load_as_float(from + v * kLanes, zero);
      hn::StoreU(hn::Mul(x, hn::Mul(row, column)), d, packed + v * kLanes);
    }
    packed += kGemmPanel;
  }
}
void pack_f32(const PackSource<float>& s, int k, int j0, float* packed) {
  pack_neighbours(s, k, j0, packed);
}
void pack_s8(const PackSource<int8_t>& s, int k, int j0, float* packed) {
  pack_neighbours(s, k, j0, packed);
}

// out[j] = x times row j of w.
void dot_rows(const float* HWY_RESTRICT x, const float* HWY_RESTRICT w, int n,
              int k, float* HWY_RESTRICT out) {
  const Tag d;
  for (int j = 0; j < n; ++j, w += k) {
    V sum0 = hn::Zero(d), sum1 = hn::Zero(d);
    int l = 0;
    for (; l + 2 * kLanes <= k; l += 2 * kLanes) {
      sum0 = hn::MulAdd(hn::LoadU(d, x + l), hn::LoadU(d, w + l), sum0);
      sum1 = hn::MulAdd(hn::LoadU(d, x + l + kLanes),
                        hn::LoadU(d, w + l + kLanes), sum1);
    }
    float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
    for (; l < k; ++l) sum += x[l] * w[l];
    out[j] = sum;
  }
}

}  // namespace
}  // namespace ft::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft {

HWY_EXPORT(run);
HWY_EXPORT(run_narrow);
HWY_EXPORT(run_skip);
HWY_EXPORT(dequantize);
HWY_EXPORT(dot_rows);
HWY_EXPORT(pack_f32);
HWY_EXPORT(pack_s8);

void gemm(const GemmArgs& args) { HWY_DYNAMIC_DISPATCH(run)(args); }

void gemm_skip(const GemmArgs& args, void* list) {
  auto* const at = static_cast<int32_t*>(list);
  auto* const value =
      static_cast<float*>(list) + gemm_padded(args.k) + kGemmPanel;
  HWY_DYNAMIC_DISPATCH(run_skip)(args, at, value);
}

void gemm_narrow(const NarrowArgs& args) {
  HWY_DYNAMIC_DISPATCH(run_narrow)(args);
}

void dequantize_run(const int8_t* q, int count, int32_t zero_point, float scale,
                    float* out) {
  HWY_DYNAMIC_DISPATCH(dequantize)(q, count, zero_point, scale, out);
}

void dot_rows(const float* x, const float* w, int n, int k, float* out) {
  HWY_DYNAMIC_DISPATCH(dot_rows)(x, w, n, k, out);
}

namespace {

// Any strides, fewer than kGemmPanel columns too.
template <class T>
void pack_panel(const PackSource<T>& s, int k, int j0, int columns,
                float* packed) {
  for (int l = 0; l < k; ++l) {
    const T* from = s.b + l * s.b_row + j0 * s.b_col;
    const float row = s.row_scale ? s.scale * s.row_scale[l] : s.scale;
    for (int j = 0; j < columns; ++j) {
      const float factor = s.column_scale ? row * s.column_scale[j0 + j] : row;
      const T q = from[j * s.b_col];
      if constexpr (sizeof(T) == 1)
        packed[j] = static_cast<float>(q - s.zero_point) * factor;
      else
        packed[j] = q * factor;
    }
    std::fill(packed + columns, packed + kGemmPanel, 0.0f);
    packed += kGemmPanel;
  }
}

}  // namespace

void pack(const PackSource<float>& source, int k, int n, float* packed) {
  for (int j = 0; j < n; j += kGemmPanel, packed += k * kGemmPanel) {
    if (source.b_col == 1 && n - j >= kGemmPanel)
      HWY_DYNAMIC_DISPATCH(pack_f32)(source, k, j, packed);
    else
      pack_panel(source, k, j, std::min(kGemmPanel, n - j), packed);
  }
}

void pack(const PackSource<int8_t>& source, int k, int n, float* packed) {
  for (int j = 0; j < n; j += kGemmPanel, packed += k * kGemmPanel) {
    if (source.b_col == 1 && n - j >= kGemmPanel)
      HWY_DYNAMIC_DISPATCH(pack_s8)(source, k, j, packed);
    else
      pack_panel(source, k, j, std::min(kGemmPanel, n - j), packed);
  }
}

}  // namespace ft
#endif  // HWY_ONCE
