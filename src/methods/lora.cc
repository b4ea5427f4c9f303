// LoRA: W' = W + (lora_alpha / r) B A, on fully connected layers, convolutions,
// depthwise convolutions and recurrent weights.
//
// Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models",
// 2021; initial values and tensor layout as HF PEFT (A uniform in
// +-1/sqrt(fan_in), B zero). Dense layers keep the two factors apart: h = A x
// is a node of its own, and the base layer adds B h where it accumulates, so
// the base's arithmetic is untouched while B is zero. A depthwise layer has too
// few weights for that to pay: it gets the product as a small extra weight. A
// recurrent layer reads W' at every step, so W' is made once in front of it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/real_values.h"
#include "kernels/kernel.h"
#include "methods/head.h"
#include "methods/method.h"
#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

std::string key(const std::string& module, const char* factor) {
  return "base_model.model." + module + "." + factor + ".weight";
}

TensorType real_type(Shape shape) {
  return {.dtype = DType::kF32, .shape = shape, .quant = {}};
}

// [kh, kw, in] of one output channel's weights; a dense layer is 1x1.
struct Kernel {
  int64_t h = 1, w = 1, in = 1;
  int64_t size() const { return h * w * in; }
};

bool is_matrix(const AdaptableModule& m) {
  return m.kind == "fully_connected" || m.kind == "lstm";
}

Kernel kernel_of(const AdaptableModule& m) {
  if (is_matrix(m)) return {1, 1, m.weight[1]};
  if (m.kind == "depthwise_conv2d") return {m.weight[1], m.weight[2], 1};
  return {m.weight[1], m.weight[2], m.weight[3]};
}

struct Factors {
  ValueId a, b;
};

// Adds the two parameters and says how PEFT stores them.
Factors add_factors(Graph& graph, const AdaptableModule& m, int r,
                    uint64_t seed, AdaptedGraph& adapted) {
  const Kernel k = kernel_of(m);
  const Shape a_shape =
      m.kind == "conv2d" ? Shape{r, k.h, k.w, k.in} : Shape{r, k.size()};
  const auto a_values =
      uniform_values(static_cast<size_t>(r * k.size()),
                     1 / std::sqrt(static_cast<double>(k.size())), seed,
                     key(m.name, "lora_A"));
  const std::vector<float> b_values(static_cast<size_t>(m.rows * r), 0.0f);
  const Factors f{graph.add_owned(ValueKind::kParam, m.name + "/lora_A",
                                  real_type(a_shape), a_values),
                  graph.add_owned(ValueKind::kParam, m.name + "/lora_B",
                                  real_type({m.rows, r}), b_values)};
  AdapterTensor a{.name = key(m.name, "lora_A"),
                  .param = f.a,
                  .view = {r, k.h, k.w, k.in},
                  .perm = {0, 3, 1, 2}};
  AdapterTensor b{.name = key(m.name, "lora_B"),
                  .param = f.b,
                  .view = {m.rows, r, 1, 1},
                  .perm = {0, 1, 2, 3}};
  if (is_matrix(m)) {
    a.view = {r, k.in};
    b.view = {m.rows, r};
    a.perm = b.perm = {0, 1};
  }
  adapted.tensors.push_back(std::move(a));
  adapted.tensors.push_back(std::move(b));
  return f;
}

// The node list with the nodes appended since `first_new` moved in front of
// node `before`, which reads them.
void move_in_front(Graph& graph, NodeId first_new, NodeId before) {
  std::vector<Node> nodes;
  for (NodeId n = 0; n < graph.num_nodes(); ++n) nodes.push_back(graph.node(n));
  std::rotate(nodes.begin() + before, nodes.begin() + first_new, nodes.end());
  graph.set_nodes(std::move(nodes));
}

// h = A x with the strides and padding of the layer, added where the layer
// accumulates.
Status adapt_dense(Graph& graph, const AdaptableModule& m, const Factors& f,
                   double scaling) {
  const Node layer = graph.node(m.node);
  Attrs attrs = layer.attrs;
  attrs.set("act", int64_t{FT_ACT_NONE});
  attrs.set("recompute",
            int64_t{1});  // x is kept anyway, for the gradient of A
  const NodeId first_new = graph.num_nodes();
  FT_TRY(const ValueId h, append(graph, *layer.op, {layer.inputs[0], f.a},
                                 attrs, {.name = m.name + "/lora_h"}));
  Node& adapted = graph.node(m.node);
  adapted.inputs.resize(5, kNone);
  adapted.inputs[3] = h;
  adapted.inputs[4] = f.b;
  adapted.attrs.set("lora_scaling", scaling);
  move_in_front(graph, first_new, m.node);
  return ok_status();
}

// w_delta[1, kh, kw, c] = scaling * (B A)^T.
Status adapt_depthwise(Graph& graph, const AdaptableModule& m, const Factors& f,
                       double scaling) {
  const NodeId first_new = graph.num_nodes();
  FT_TRY(const ValueId product,
         append(graph, ops::kMatmul, {f.a, f.b},
                {{"trans_a", 1}, {"trans_b", 1}, {"alpha", scaling}},
                {.name = m.name + "/lora_BA"}));
  const auto dims = m.weight.dims();
  FT_TRY(const ValueId delta,
         append(graph, ops::kReshape, {product},
                {{"shape", std::vector<int64_t>(dims.begin(), dims.end())}},
                {.name = m.name + "/lora_delta"}));
  Node& adapted = graph.node(m.node);
  adapted.inputs.resize(4, kNone);
  adapted.inputs[3] = delta;
  move_in_front(graph, first_new, m.node);
  return ok_status();
}

// W' = W + scaling B A, which the node reads in place of W.
Status adapt_value(Graph& graph, const AdaptableModule& m, const Factors& f,
                   double scaling) {
  const NodeId first_new = graph.num_nodes();
  FT_TRY(const ValueId product,
         append(graph, ops::kMatmul, {f.b, f.a}, {{"alpha", scaling}},
                {.name = m.name + "/lora_BA"}));
  const ValueId w = graph.node(m.node).inputs[1];
  FT_TRY(const ValueId sum,
         append(graph, ops::kBinary, {product, w}, {{"kind", "add"}},
                {.name = m.name + "/lora_weight"}));
  graph.node(m.node).inputs[1] = sum;
  move_in_front(graph, first_new, m.node);
  return ok_status();
}

Status adapt(Graph& graph, const AdaptableModule& m, const Factors& f,
             double scaling) {
  if (m.kind == "depthwise_conv2d")
    return adapt_depthwise(graph, m, f, scaling);
  if (m.kind == "lstm") return adapt_value(graph, m, f, scaling);
  return adapt_dense(graph, m, f, scaling);
}

Status check_module(const Graph& graph, const AdaptableModule& m, int r) {
  if (r < 1)
    return usage_error(
        fmt::format("rank {} for '{}': must be at least 1", r, m.name));
  if (r > m.max_rank())
    return usage_error(fmt::format(
        "rank {} is above what '{}' can have: its weight is a {} x {} matrix; "
        "lower --rank, or set it for this layer with --rank-pattern '{}={}'",
        r, m.name, m.rows, m.columns, m.name, m.max_rank()));
  const Node& node = graph.node(m.node);
  const Shape& x = graph.value(node.inputs[0]).type.shape;
  if (m.kind == "conv2d" && x.back() != m.weight[3])
    return usage_error(fmt::format(
        "LoRA is not defined on the grouped convolution '{}'; leave it out "
        "with --target-modules",
        m.name));
  return ok_status();
}

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  FT_TRY(const auto modules, select_modules(graph, settings));
  // Nodes move while the graph is rewritten, so modules are found by name.
  for (const AdaptableModule& selected : modules) {
    AdaptableModule m = selected;
    for (const AdaptableModule& now : adaptable_modules(graph))
      if (now.name == m.name) m.node = now.node;
    const int r = effective_rank(settings, m);
    FT_TRY_STATUS(check_module(graph, m, r));
    const double scaling = settings.alpha_of(m.name) / r;
    const Factors f = add_factors(graph, m, r, settings.seed, adapted);
    FT_TRY_STATUS(adapt(graph, m, f, scaling));
  }
  return ok_status();
}

// W + scaling B A in the weight's own layout.
void add_product(const AdaptableModule& m, const Kernel& k, double scaling,
                 const std::vector<float>& a, const std::vector<float>& b,
                 int64_t r, std::vector<float>& weight) {
  const auto at = [](int64_t i) { return static_cast<size_t>(i); };
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
}

Result<std::vector<MergedModule>> merge(const Graph& base,
                                        const MethodSettings& settings,
                                        const TensorMap& tensors) {
  std::vector<MergedModule> merged;
  for (const AdaptableModule& m : adaptable_modules(base)) {
    const auto a = tensors.find(key(m.name, "lora_A"));
    const auto b = tensors.find(key(m.name, "lora_B"));
    if (a == tensors.end() || b == tensors.end()) continue;
    const int64_t r = effective_rank(settings, m);
    const Kernel k = kernel_of(m);
    std::vector<float> weight =
        real_values(base.value(base.node(m.node).inputs[1]));
    if (a->second.size() != static_cast<size_t>(r * k.size()) ||
        b->second.size() != static_cast<size_t>(r * m.rows))
      return invalid_input(fmt::format(
          "adapter tensors of '{}' do not have rank {}", m.name, r));
    add_product(m, k, settings.alpha_of(m.name) / static_cast<double>(r),
                a->second, b->second, r, weight);
    merged.push_back({m.name, std::move(weight), {}});
  }
  merge_head(base, tensors, merged);
  return merged;
}

}  // namespace

extern const MethodDef kLora;
constinit const MethodDef kLora = {
    .name = "lora",
    .summary = "low-rank update B A beside every chosen layer",
    .default_rank = 4,
    .apply = apply,
    .merge = merge};

}  // namespace ft
