#include "methods/low_rank.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/real_values.h"
#include "kernels/kernel.h"
#include "methods/head.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

// w_delta[1, kh, kw, c] = scaling * (B A)^T.
Status adapt_depthwise(Graph& graph, const AdaptableModule& m, const Factors& f,
                       double scaling) {
  FT_TRY(const ValueId product,
         append(graph, ops::kMatmul, {f.a, f.b},
                {{"trans_a", 1}, {"trans_b", 1}, {"alpha", scaling}},
                {.name = m.name + "/lora_BA"}));
  const auto dims = m.weight.dims();
  FT_TRY(const ValueId delta,
         append(graph, ops::kReshape, {product},
                {{"shape", std::vector<int64_t>(dims.begin(), dims.end())}},
                {.name = m.name + "/lora_delta"}));
  return add_weight_delta(graph, m.node, delta);
}

// W' = W + scaling B A, which all readers of W get in its place.
Status adapt_value(Graph& graph, const AdaptableModule& m, const Factors& f,
                   double scaling) {
  const NodeId first_new = graph.num_nodes();
  FT_TRY(const ValueId product,
         append(graph, ops::kMatmul, {f.b, f.a}, {{"alpha", scaling}},
                {.name = m.name + "/lora_BA"}));
  const ValueId w = graph.node(m.node).inputs[1];
  FT_TRY(const ValueId sum, append(graph, ops::kBinary, {product, w},
                                   {{"kind", "add"}, {kAdaptedWeight, 1}},
                                   {.name = m.name + "/lora_weight"}));
  replace_reads(graph, first_new, w, sum);
  return ok_status();
}

Status adapt_dense(Graph& graph, const AdaptableModule& m, const Factors& f,
                   double scaling, bool recompute) {
  FT_TRY(const ValueId h, append_side(graph, m, f.a, recompute));
  return join_side(graph, m.node, h, f.b, scaling);
}

}  // namespace

bool is_matrix(const AdaptableModule& m) {
  return m.kind == "fully_connected" || m.kind == kSharedWeight;
}

KernelExtent kernel_extent(const AdaptableModule& m) {
  if (is_matrix(m)) return {1, 1, m.weight[1]};
  if (m.kind == "depthwise_conv2d") return {m.weight[1], m.weight[2], 1};
  return {m.weight[1], m.weight[2], m.weight[3]};
}

Status check_not_grouped(const Graph& graph, const AdaptableModule& m,
                         std::string_view method) {
  const Node& node = graph.node(m.node);
  const Shape& x = graph.value(node.inputs[0]).type.shape;
  if (m.kind != "conv2d" || x.back() == m.weight[3]) return ok_status();
  return usage_error(fmt::format(
      "method {} is not defined on the grouped convolution '{}'; leave it out "
      "with --target-modules",
      method, m.name));
}

Status check_low_rank_module(const Graph& graph, const AdaptableModule& m,
                             int r, std::string_view method) {
  if (r < 1)
    return usage_error(
        fmt::format("rank {} for '{}': must be at least 1", r, m.name));
  if (r > m.max_rank())
    return usage_error(fmt::format(
        "rank {} is above what '{}' can have: its weight is a {} x {} matrix; "
        "lower --rank, or set it for this layer with --rank-pattern '{}={}'",
        r, m.name, m.rows, m.columns, m.name, m.max_rank()));
  FT_TRY_STATUS(check_shared_is_float(graph, m, method));
  return check_not_grouped(graph, m, method);
}

Status check_shared_is_float(const Graph& graph, const AdaptableModule& m,
                             std::string_view method) {
  const DType w = graph.value(graph.node(m.node).inputs[1]).type.dtype;
  if (m.kind != kSharedWeight || w == DType::kF32) return ok_status();
  return usage_error(fmt::format(
      "method {} needs float weights where several layers share them, but "
      "'{}' is {}; use --precision f32",
      method, m.name, name_of(w)));
}

ValueId add_vector(Graph& graph, const AdaptableModule& m, const char* what,
                   const Shape& shape, const Shape& in_file,
                   const std::vector<float>& values, AdaptedGraph& adapted) {
  AdapterTensor t{.name = peft_key(m.name, what), .view = in_file, .perm = {}};
  for (int d = 0; d < in_file.rank(); ++d) t.perm.push_back(d);
  t.param = graph.add_owned(ValueKind::kParam, m.name + "/" + what,
                            real_type(shape), values);
  const ValueId id = t.param;
  adapted.tensors.push_back(std::move(t));
  return id;
}

Status scale_shared_weight(Graph& graph, const AdaptableModule& m,
                           ValueId factors) {
  const ValueId w = graph.node(m.node).inputs[1];
  const NodeId first_new = graph.num_nodes();
  FT_TRY(const ValueId scaled, append(graph, ops::kBinary, {factors, w},
                                      {{"kind", "mul"}, {kAdaptedWeight, 1}},
                                      {.name = m.name + "/scaled_weight"}));
  replace_reads(graph, first_new, w, scaled);
  return ok_status();
}

Factors add_factors(Graph& graph, const AdaptableModule& m, int r, int group,
                    uint64_t seed, AdaptedGraph& adapted) {
  KernelExtent k = kernel_extent(m);
  k.in /= group;
  AdapterTensor a{.name = peft_key(m.name, "lora_A.weight"),
                  .view = {r, k.h, k.w, k.in},
                  .perm = {0, 3, 1, 2}};
  AdapterTensor b{.name = peft_key(m.name, "lora_B.weight"),
                  .view = {m.rows, r, 1, 1},
                  .perm = {0, 1, 2, 3}};
  if (is_matrix(m)) {
    a.view = {r, k.in};
    b.view = {m.rows, r};
    a.perm = b.perm = {0, 1};
  }
  const Shape a_shape = m.kind == "conv2d" ? a.view : Shape{r, k.size()};
  const auto a_values = uniform_values(
      static_cast<size_t>(r * k.size()),
      1 / std::sqrt(static_cast<double>(k.size())), seed, a.name);
  const std::vector<float> b_values(static_cast<size_t>(m.rows * r), 0.0f);
  a.param = graph.add_owned(ValueKind::kParam, m.name + "/lora_A",
                            real_type(a_shape), a_values);
  b.param = graph.add_owned(ValueKind::kParam, m.name + "/lora_B",
                            real_type({m.rows, r}), b_values);
  const Factors f{a.param, b.param};
  adapted.tensors.push_back(std::move(a));
  adapted.tensors.push_back(std::move(b));
  return f;
}

Result<ValueId> append_side(Graph& graph, const AdaptableModule& m, ValueId a,
                            bool recompute, ValueId bias) {
  const Node layer = graph.node(m.node);
  Attrs attrs = layer.attrs;
  attrs.set("act", int64_t{FT_ACT_NONE});
  if (recompute) attrs.set("recompute", int64_t{1});
  std::vector<ValueId> inputs = {layer.inputs[0], a};
  if (bias != kNone) inputs.push_back(bias);
  return append(graph, *layer.op, std::move(inputs), attrs,
                {.name = m.name + "/lora_h"});
}

Status adapt_low_rank(Graph& graph, const AdaptableModule& m, const Factors& f,
                      double scaling, bool recompute) {
  if (m.kind == "depthwise_conv2d")
    return adapt_depthwise(graph, m, f, scaling);
  if (m.kind == kSharedWeight) return adapt_value(graph, m, f, scaling);
  return adapt_dense(graph, m, f, scaling, recompute);
}

Status adapt_with_diagonal(Graph& graph, const AdaptableModule& m,
                           const Factors& f, ValueId d, double scaling) {
  const auto times = [&](ValueId x, ValueId y, const char* what) {
    return append(graph, ops::kBinary, {x, y}, {{"kind", "mul"}},
                  {.name = m.name + what});
  };
  if (m.kind == "depthwise_conv2d" || m.kind == kSharedWeight) {
    const int64_t r = graph.value(d).type.shape.num_elements();
    FT_TRY(const ValueId column, append(graph, ops::kReshape, {d},
                                        {{"shape", std::vector<int64_t>{r, 1}}},
                                        {.name = m.name + "/diagonal"}));
    FT_TRY(const ValueId a, times(f.a, column, "/diagonal_A"));
    return adapt_low_rank(graph, m, {a, f.b}, scaling, false);
  }
  FT_TRY(const ValueId h, append_side(graph, m, f.a, false));
  FT_TRY(const ValueId scaled, times(h, d, "/diagonal_h"));
  return join_side(graph, m.node, scaled, f.b, scaling);
}

int64_t output_of_weight(const AdaptableModule& m, int64_t i) {
  return m.kind == "depthwise_conv2d" ? i % m.rows : i / m.columns;
}

std::vector<float> base_weight(const Graph& base, const AdaptableModule& m) {
  return real_values(base.value(weight_of_base(base, m.node)));
}

Status add_product(const AdaptableModule& m, double scaling, int64_t r,
                   const std::vector<float>& a, const std::vector<float>& b,
                   std::vector<float>& weight) {
  const KernelExtent k = kernel_extent(m);
  const auto at = [](int64_t i) { return static_cast<size_t>(i); };
  if (a.size() != at(r * k.size()) || b.size() != at(r * m.rows))
    return invalid_input(
        fmt::format("adapter tensors of '{}' do not have rank {}", m.name, r));
  for (int64_t o = 0; o < m.rows; ++o)
    for (int64_t y = 0; y < k.h; ++y)
      for (int64_t x = 0; x < k.w; ++x)
        for (int64_t i = 0; i < k.in; ++i) {
          double sum = 0;
          for (int64_t l = 0; l < r; ++l)  // files hold A as [r, in, kh, kw]
            sum += static_cast<double>(b[at(o * r + l)]) *
                   a[at(((l * k.in + i) * k.h + y) * k.w + x)];
          const int64_t index = m.kind == "depthwise_conv2d"
                                    ? (y * k.w + x) * m.rows + o
                                    : ((o * k.h + y) * k.w + x) * k.in + i;
          weight[at(index)] += static_cast<float>(scaling * sum);
        }
  return ok_status();
}

constinit const SettingDef kUseRslora = {
    .name = "use_rslora",
    .kind = SettingDef::Kind::kFlag,
    .summary = "scale by lora_alpha / sqrt(r) in place of lora_alpha / r",
    .preset = "false"};

double lora_scaling(const MethodSettings& settings, const AdaptableModule& m,
                    int r) {
  const double rank = r;
  return settings.weight * settings.alpha_of(m.name) /
         (settings.flag(kUseRslora) ? std::sqrt(rank) : rank);
}

}  // namespace ft
