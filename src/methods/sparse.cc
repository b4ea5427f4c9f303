// Sparse fine-tuning: a few entries or output channels of a layer's weight are
// trained, the others stay. The graph holds, trains and stores what is kept
// only: no value of the layer's own size exists, neither weight difference nor
// gradient (but for depthwise convolutions, which have few weights).
//
// Sources: Ansell et al., "Composable Sparse Fine-Tuning for Cross-Lingual
// Transfer", 2022 (a mask, then a sparse difference from the base); Lin et al.,
// "On-Device Training Under 256KB Memory", 2022 (chosen layers and channels).
//
// Entries: sparse_conv2d computes what they add to the rows that have one, as a
// low-rank side whose second factor says which row is which. Channels: the same
// with the layer's own op. The base may be int8. Tensors: `sparse_index`, see
// sparse.h, and `sparse_values`, differences from the base.
#include "methods/sparse.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/random.h"
#include "methods/head.h"
#include "methods/low_rank.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

using Kind = SettingDef::Kind;

constinit const SettingDef kDensity = {
    .name = "density",
    .kind = Kind::kReal,
    .summary = "part of each layer's entries (or channels) that is trained",
    .preset = "0.01",
    .low = 1e-7,
    .high = 1};
constinit const SettingDef kMask = {
    .name = "mask",
    .kind = Kind::kWord,
    .summary =
        "what is kept: the largest weights, the largest gradients "
        "over the training samples, or any",
    .preset = "magnitude",
    .words = "magnitude gradient random"};
constinit const SettingDef kGranularity = {
    .name = "granularity",
    .kind = Kind::kWord,
    .summary = "entry: single weights; channel: all weights of an output",
    .preset = "entry",
    .words = "entry channel"};
constexpr const SettingDef* kSettings[] = {&kDensity, &kMask, &kGranularity};

// Larger numbers are not exact in the float32 of a file.
constexpr int64_t kMaxEntries = int64_t{1} << 24;

// Where an entry of the file's weight [out, in, kh, kw] stands.
struct Place {
  int64_t row, tap;  // output, and (ky * kw + kx) * in + channel
  int64_t index;     // in the graph's weight
};

Place place_of(const AdaptableModule& m, int64_t entry) {
  const KernelExtent k = kernel_extent(m);
  const int64_t image = k.h * k.w;
  const int64_t row = entry / k.size(), rest = entry % k.size();
  const int64_t tap = rest % image * k.in + rest / image;
  return {
      row, tap,
      m.kind == "depthwise_conv2d" ? tap * m.rows + row : row * k.size() + tap};
}

bool by_channel(const MethodSettings& s) {
  return s.word(kGranularity) == "channel";
}

std::vector<float> scores_of(const Graph& graph, const AdaptableModule& m,
                             const MethodSettings& settings) {
  std::vector<float> scores(static_cast<size_t>(m.rows * m.columns));
  const Random random(settings.seed, "sparse/" + m.name);
  const std::vector<float> weight = base_weight(graph, m);
  const bool any = settings.word(kMask) == "random";
  for (size_t i = 0; i < scores.size(); ++i)
    scores[i] = any ? random.uniform(i)
                    : std::abs(weight[static_cast<size_t>(
                          place_of(m, static_cast<int64_t>(i)).index)]);
  return scores;
}

// A mask that a file gives: distinct numbers in range.
Status check_mask(const AdaptableModule& m, std::span<const float> mask,
                  int64_t limit) {
  std::set<float> seen;
  for (const float v : mask)
    if (!(v >= 0 && v < static_cast<float>(limit)) || v != std::floor(v) ||
        !seen.insert(v).second)
      return invalid_input(fmt::format(
          "sparse_index of '{}' holds {}, which is no number below {} or there "
          "twice",
          m.name, v, limit));
  if (!mask.empty()) return ok_status();
  return invalid_input(fmt::format("sparse_index of '{}' is empty", m.name));
}

Status check_module(const Graph& graph, const AdaptableModule& m) {
  if (m.kind == kSharedWeight)
    return usage_error(fmt::format(
        "method sparse is not defined on the recurrent weights '{}'; leave "
        "them out with --target-modules",
        m.name));
  if (m.rows * m.columns > kMaxEntries)
    return usage_error(
        fmt::format("method sparse numbers at most {} weights, but '{}' has {}",
                    kMaxEntries, m.name, m.rows * m.columns));
  return check_not_grouped(graph, m, "sparse");
}

Result<std::vector<int64_t>> mask_of(const Graph& graph,
                                     const AdaptableModule& m,
                                     const MethodSettings& settings) {
  FT_TRY_STATUS(check_module(graph, m));
  std::vector<float> mask;
  if (const auto given = settings.masks.find(m.name);
      given != settings.masks.end()) {
    mask = given->second;
    FT_TRY_STATUS(check_mask(
        m, mask, by_channel(settings) ? m.rows : m.rows * m.columns));
  } else if (needs_gradient_mask(settings)) {
    return usage_error(
        "--mask gradient is chosen by train, from its data; here use --mask "
        "magnitude, which needs as many bytes");
  } else {
    mask = sparse_mask(settings, m, scores_of(graph, m, settings));
  }
  return std::vector<int64_t>(mask.begin(), mask.end());
}

// One-hot [out, rows.size()]: column i adds to output rows[i].
ValueId row_selector(Graph& graph, const AdaptableModule& m,
                     const std::vector<int64_t>& rows) {
  const auto n = static_cast<int64_t>(rows.size());
  std::vector<float> one_hot(static_cast<size_t>(m.rows * n), 0.0f);
  for (int64_t i = 0; i < n; ++i)
    one_hot[static_cast<size_t>(rows[static_cast<size_t>(i)] * n + i)] = 1;
  return graph.add_owned(ValueKind::kConstant, m.name + "/sparse_rows",
                         real_type({m.rows, n}), one_hot);
}

// Zeros [shape], in files as `view`; and the mask, which only files hold.
ValueId add_tensors(Graph& graph, const AdaptableModule& m, const Shape& shape,
                    const Shape& view, std::vector<int> perm,
                    const std::vector<int64_t>& mask, AdaptedGraph& adapted) {
  const auto count = static_cast<size_t>(shape.num_elements());
  AdapterTensor values{
      .name = sparse_values_key(m), .view = view, .perm = std::move(perm)};
  values.param =
      graph.add_owned(ValueKind::kParam, m.name + "/sparse_values",
                      real_type(shape), std::vector<float>(count, 0.0f));
  const ValueId id = values.param;
  adapted.tensors.push_back(std::move(values));
  AdapterTensor index{.name = peft_key(m.name, kMaskTensor),
                      .view = {static_cast<int64_t>(mask.size())},
                      .perm = {0}};
  index.fixed.assign(mask.begin(), mask.end());
  index.trainable = false;
  adapted.tensors.push_back(std::move(index));
  return id;
}

Result<ValueId> reshape(Graph& graph, ValueId x, std::vector<int64_t> dims,
                        const std::string& name) {
  return append(graph, ops::kReshape, {x}, {{"shape", std::move(dims)}},
                {.name = name});
}

// What the entries add to `rows` of the layer: [..., rows].
Result<ValueId> append_entries(Graph& graph, const AdaptableModule& m,
                               const std::vector<Place>& places,
                               const std::vector<int64_t>& rows,
                               ValueId values) {
  std::vector<int32_t> table;
  for (const Place& p : places) {
    const auto slot = std::ranges::lower_bound(rows, p.row) - rows.begin();
    table.push_back(static_cast<int32_t>(slot));
    table.push_back(static_cast<int32_t>(p.tap));
  }
  const auto entries = static_cast<int64_t>(places.size());
  const ValueId at = graph.add_owned(
      ValueKind::kConstant, m.name + "/sparse_places",
      {.dtype = DType::kS32, .shape = {entries, 2}, .quant = {}}, table);
  const Node layer = graph.node(m.node);
  const KernelExtent k = kernel_extent(m);
  const auto count = static_cast<int64_t>(rows.size());
  Attrs attrs = is_matrix(m) ? Attrs() : layer.attrs;
  attrs.set("act", int64_t{0});
  attrs.set("k_h", k.h);
  attrs.set("k_w", k.w);
  attrs.set("rows", count);
  ValueId x = layer.inputs[0];
  const int64_t batch = graph.value(x).type.shape.num_elements() / k.in;
  if (is_matrix(m)) {
    FT_TRY(x, reshape(graph, x, {batch, 1, 1, k.in}, m.name + "/sparse_x"));
  }
  FT_TRY(const ValueId h, append(graph, ops::kSparseConv2d, {x, values, at},
                                 attrs, {.name = m.name + "/sparse_h"}));
  if (!is_matrix(m)) return h;
  return reshape(graph, h, {batch, count}, m.name + "/sparse_h/rows");
}

Status adapt_entries(Graph& graph, const AdaptableModule& m,
                     const MethodSettings& settings,
                     const std::vector<int64_t>& mask, AdaptedGraph& adapted) {
  std::vector<Place> places;
  std::set<int64_t> used;
  for (const int64_t entry : mask) {
    places.push_back(place_of(m, entry));
    used.insert(places.back().row);
  }
  const std::vector<int64_t> rows(used.begin(), used.end());
  const Shape shape{static_cast<int64_t>(mask.size())};
  const ValueId values =
      add_tensors(graph, m, shape, shape, {0}, mask, adapted);
  FT_TRY(const ValueId h, append_entries(graph, m, places, rows, values));
  return join_side(graph, m.node, h, row_selector(graph, m, rows),
                   settings.weight);
}

Status adapt_channels(Graph& graph, const AdaptableModule& m,
                      const MethodSettings& settings,
                      const std::vector<int64_t>& mask, AdaptedGraph& adapted) {
  const KernelExtent k = kernel_extent(m);
  const auto n = static_cast<int64_t>(mask.size());
  const Shape shape = is_matrix(m) ? Shape{n, k.in} : Shape{n, k.h, k.w, k.in};
  const std::vector<int> perm =
      is_matrix(m) ? std::vector<int>{0, 1} : std::vector<int>{0, 3, 1, 2};
  const ValueId values =
      add_tensors(graph, m, shape, shape, perm, mask, adapted);
  FT_TRY(const ValueId h, append_side(graph, m, values, true));
  return join_side(graph, m.node, h, row_selector(graph, m, mask),
                   settings.weight);
}

// The whole small weight difference: the values where they belong, else 0.
Status adapt_depthwise(Graph& graph, const AdaptableModule& m,
                       const MethodSettings& settings,
                       const std::vector<int64_t>& mask,
                       AdaptedGraph& adapted) {
  std::vector<int64_t> entries = mask;
  const int64_t each = by_channel(settings) ? m.columns : 1;
  if (each > 1) {
    entries.clear();
    for (const int64_t channel : mask)
      for (int64_t i = 0; i < each; ++i) entries.push_back(channel * each + i);
  }
  const auto n = static_cast<int64_t>(entries.size());
  const KernelExtent k = kernel_extent(m);
  const Shape view = each > 1 ? Shape{n / each, 1, k.h, k.w} : Shape{n};
  std::vector<int> perm(static_cast<size_t>(view.rank()));
  std::iota(perm.begin(), perm.end(), 0);
  const ValueId values = add_tensors(graph, m, {n}, view, perm, mask, adapted);
  const int64_t size = m.rows * m.columns;
  std::vector<int32_t> from(static_cast<size_t>(size), static_cast<int32_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const Place p = place_of(m, entries[static_cast<size_t>(i)]);
    from[static_cast<size_t>(p.index)] = static_cast<int32_t>(i);
  }
  const ValueId zero =
      graph.add_owned(ValueKind::kConstant, m.name + "/sparse_zero",
                      real_type({1}), std::vector<float>{0.0f});
  const ValueId map = graph.add_owned(
      ValueKind::kConstant, m.name + "/sparse_from",
      {.dtype = DType::kS32, .shape = {size}, .quant = {}}, from);
  FT_TRY(const ValueId table,
         append(graph, ops::kConcat, {values, zero}, {{"axis", 0}},
                {.name = m.name + "/sparse_table"}));
  FT_TRY(ValueId delta, append(graph, ops::kGather, {table, map}, {{"axis", 0}},
                               {.name = m.name + "/sparse_scattered"}));
  if (settings.weight != 1) {
    FT_TRY(delta, append_scaled(graph, delta, settings.weight));
  }
  const auto dims = m.weight.dims();
  FT_TRY(delta, reshape(graph, delta, {dims.begin(), dims.end()},
                        m.name + "/sparse_delta"));
  return add_weight_delta(graph, m.node, delta);
}

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  return rewrite_modules(
      graph, settings, [&](const AdaptableModule& m) -> Status {
        FT_TRY(const auto mask, mask_of(graph, m, settings));
        if (m.kind == "depthwise_conv2d")
          return adapt_depthwise(graph, m, settings, mask, adapted);
        return by_channel(settings)
                   ? adapt_channels(graph, m, settings, mask, adapted)
                   : adapt_entries(graph, m, settings, mask, adapted);
      });
}

Result<std::vector<MergedModule>> merge(const Graph& base,
                                        const MethodSettings& settings,
                                        const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  for (const AdaptableModule& m : adaptable_modules(base)) {
    const auto index = tensors.find(peft_key(m.name, kMaskTensor));
    const auto values = tensors.find(sparse_values_key(m));
    if (index == tensors.end() || values == tensors.end()) continue;
    const size_t each =
        by_channel(settings) ? static_cast<size_t>(m.columns) : 1;
    const auto limit = m.rows * m.columns / static_cast<int64_t>(each);
    FT_TRY_STATUS(check_mask(m, index->second, limit));
    if (values->second.size() != index->second.size() * each)
      return invalid_input(
          fmt::format("sparse_values of '{}' has {} values for {} numbers",
                      m.name, values->second.size(), index->second.size()));
    std::vector<float> weight = base_weight(base, m);
    for (size_t i = 0; i < values->second.size(); ++i) {
      const auto entry = static_cast<int64_t>(index->second[i / each]) *
                             static_cast<int64_t>(each) +
                         static_cast<int64_t>(i % each);
      weight[static_cast<size_t>(place_of(m, entry).index)] +=
          static_cast<float>(settings.weight) * values->second[i];
    }
    merged.push_back({m.name, std::move(weight), {}});
  }
  merge_head(base, tensors, merged);
  return merged;
}

}  // namespace

bool needs_gradient_mask(const MethodSettings& settings) {
  return settings.method == "sparse" && settings.masks.empty() &&
         settings.word(kMask) == "gradient";
}

MethodSettings every_entry_of(const MethodSettings& settings,
                              const AdaptableModule& module) {
  MethodSettings all = settings;
  all.target_modules = {module.name};
  all.own[std::string(kDensity.name)] = "1";
  all.own[std::string(kMask.name)] = "magnitude";
  all.own[std::string(kGranularity.name)] = "entry";
  return all;
}

std::string sparse_values_key(const AdaptableModule& module) {
  return peft_key(module.name, "sparse_values");
}

std::vector<float> sparse_mask(const MethodSettings& settings,
                               const AdaptableModule& module,
                               std::span<const float> scores) {
  std::vector<double> by_unit(scores.begin(), scores.end());
  if (by_channel(settings)) {
    const auto each = static_cast<size_t>(module.columns);
    for (size_t c = 0; c < static_cast<size_t>(module.rows); ++c)
      by_unit[c] = std::accumulate(
          scores.begin() + static_cast<ptrdiff_t>(c * each),
          scores.begin() + static_cast<ptrdiff_t>((c + 1) * each), 0.0);
    by_unit.resize(static_cast<size_t>(module.rows));
  }
  std::vector<int64_t> order(by_unit.size());
  std::iota(order.begin(), order.end(), 0);
  const auto kept = static_cast<size_t>(
      std::ceil(settings.real(kDensity) * static_cast<double>(by_unit.size())));
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) {
    return by_unit[static_cast<size_t>(a)] > by_unit[static_cast<size_t>(b)];
  });
  order.resize(std::clamp<size_t>(kept, 1, order.size()));
  std::ranges::sort(order);
  return {order.begin(), order.end()};
}

extern const MethodDef kSparse;
constinit const MethodDef kSparse = {
    .name = "sparse",
    .summary = "a few entries or output channels of the weights",
    .settings = kSettings,
    .apply = apply,
    .merge = merge,
    .weighted = true};

}  // namespace ft
