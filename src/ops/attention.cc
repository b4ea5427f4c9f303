// Scaled dot-product attention: multi-head, grouped-query (Ainslie et al.,
// "GQA", 2023) and multi-query, causal or not, with padded keys left out.
//
// One op from queries, keys and values to the result; between forward and
// backward it keeps one number a query and head, the logarithm of the softmax's
// sum, and computes the probabilities again (Dao et al., "FlashAttention",
// 2022), so that memory grows with the sequence and not with its square.
//
// Attributes: heads, kv_heads (default: heads), batch (default 1), causal, pad
// (id of a padded key), scale (default 1 / sqrt(head_dim)). More keys than
// queries: the queries are the last ones (a prefix, or a cache).
#include "kernels/attention/attention.h"

#include <cmath>

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/example_types.h"
#include "ops/gradient.h"

namespace ft::ops {
namespace {

struct Dims {
  int64_t batch, heads, kv_heads, q_len, kv_len, head_dim;
};

// Of valid inputs q, k at `first` and behind it.
Dims dims_of(const NodeView& node, size_t first) {
  const Shape &q = node.shape(first), &k = node.shape(first + 1);
  const int64_t batch = node.attrs->get_int("batch", 1);
  const int64_t heads = node.attrs->get_int("heads", 1);
  return {.batch = batch,
          .heads = heads,
          .kv_heads = node.attrs->get_int("kv_heads", heads),
          .q_len = q[0] / batch,
          .kv_len = k[0] / batch,
          .head_dim = q[1] / heads};
}

Status check_matrices(const NodeView& node, size_t first, const char* names) {
  for (size_t i = first; i < first + 3; ++i) {
    FT_TRY_STATUS(check_same_dtype(node, 0, i));
    const Shape& s = node.shape(i);
    if (s.rank() != 2 || s.num_elements() == 0)
      return node.error(
          fmt::format("{} must be [batch * len, heads * head_dim]"
                      ", input {} is {}",
                      names, i, s.to_string()));
  }
  return check_same_shape(node, first + 1, first + 2);
}

Status check_heads(const NodeView& node, size_t first) {
  const Attrs& a = *node.attrs;
  const Shape &q = node.shape(first), &k = node.shape(first + 1);
  const int64_t batch = a.get_int("batch", 1), heads = a.get_int("heads", 1);
  const int64_t kv_heads = a.get_int("kv_heads", heads);
  if (heads < 1 || kv_heads < 1 || heads % kv_heads != 0 || q[1] % heads != 0 ||
      k[1] % kv_heads != 0 || q[1] / heads != k[1] / kv_heads)
    return node.error(fmt::format(
        "{} query heads and {} key heads do not divide q {} and k {}", heads,
        kv_heads, q.to_string(), k.to_string()));
  if (batch < 1 || q[0] % batch != 0 || k[0] % batch != 0)
    return node.error(fmt::format("q {} and k {} do not form {} sequences",
                                  q.to_string(), k.to_string(), batch));
  if (a.get_int("causal") != 0 && k[0] < q[0])
    return node.error(
        fmt::format("causal, but {} queries and {} keys", q[0], k[0]));
  const double scale = a.get_real("scale", 1);
  const int64_t pad = a.get_int("pad");
  if (std::isfinite(static_cast<float>(scale)) && pad >= INT32_MIN &&
      pad <= INT32_MAX)
    return ok_status();
  return node.error(fmt::format("scale is {}, pad {}", scale, pad));
}

Status check_ids(const NodeView& node, size_t i, const Shape& k) {
  if (!node.has(i)) return ok_status();
  if (node.in(i).dtype == DType::kS32 && node.shape(i).num_elements() == k[0])
    return ok_status();
  return node.error(fmt::format("key_ids must be {} int32, got {}", k[0],
                                node.in(i).to_string()));
}

TensorType real_like(const NodeView& node, Shape shape) {
  return {.dtype = node.in(0).dtype, .shape = shape, .quant = {}};
}

Shape log_sum_shape(const Dims& d) { return {d.batch, d.heads, d.q_len}; }

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY_STATUS(check_matrices(node, 0, "q, k and v"));
  FT_TRY_STATUS(check_heads(node, 0));
  FT_TRY_STATUS(check_ids(node, 3, node.shape(1)));
  return std::vector<TensorType>{
      real_like(node, node.shape(0)),
      real_like(node, log_sum_shape(dims_of(node, 0)))};
}

Result<std::vector<TensorType>> infer_grad(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY_STATUS(check_matrices(node, 1, "q, k and v"));
  FT_TRY_STATUS(check_heads(node, 1));
  for (const size_t i : {size_t{0}, size_t{4}})
    FT_TRY_STATUS(check_same_shape(node, i, 1));
  FT_TRY_STATUS(check_same_dtype(node, 0, 4));
  const Shape sums = log_sum_shape(dims_of(node, 1));
  for (const size_t i : {size_t{5}, size_t{7}}) {
    if (!node.has(i)) continue;
    FT_TRY_STATUS(check_same_dtype(node, 0, i));
    if (node.shape(i) != sums)
      return node.error(fmt::format("input {} is {}, needs {}", i,
                                    node.shape(i).to_string(),
                                    sums.to_string()));
  }
  FT_TRY_STATUS(check_ids(node, 6, node.shape(2)));
  return std::vector<TensorType>{real_like(node, node.shape(1)),
                                 real_like(node, node.shape(2)),
                                 real_like(node, node.shape(2))};
}

ft_attention_params params_of(const NodeView& node, size_t first) {
  const Dims d = dims_of(node, first);
  return {.batch = static_cast<int32_t>(d.batch),
          .q_len = static_cast<int32_t>(d.q_len),
          .kv_len = static_cast<int32_t>(d.kv_len),
          .heads = static_cast<int32_t>(d.heads),
          .kv_heads = static_cast<int32_t>(d.kv_heads),
          .head_dim = static_cast<int32_t>(d.head_dim),
          .causal = node.attrs->get_int("causal") != 0,
          .pad = node.attrs->get_i("pad"),
          .scale = static_cast<float>(node.attrs->get_real(
              "scale", 1 / std::sqrt(static_cast<double>(d.head_dim))))};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const auto p = params_of(context.view, 0);
  lowered.set_params(p);
  lowered.scratch_bytes =
      static_cast<size_t>(p.kv_len) * size_of(context.view.in(0).dtype);
  return ok_status();
}

Status lower_grad(const LowerContext& context, Lowered& lowered) {
  lowered.set_params(params_of(context.view, 1));
  return ok_status();
}

Status prepare_hwy(const LowerContext&, Lowered& lowered) {
  lowered.scratch_bytes =
      ft_attention_hwy_scratch_bytes(&lowered.params_as<ft_attention_params>());
  return ok_status();
}

Status prepare_grad_hwy(const LowerContext&, Lowered& lowered) {
  lowered.scratch_bytes = ft_attention_grad_hwy_scratch_bytes(
      &lowered.params_as<ft_attention_params>());
  return ok_status();
}

void gradient(GradientBuilder& g) {
  const std::vector<ValueId> grads =
      g.emit_all(kAttentionGrad,
                 {g.output_grad(), g.input(0), g.input(1), g.input(2),
                  g.output(0), g.output(1), g.input(3), g.output_grad(1)},
                 g.attrs());
  for (size_t i = 0; i < grads.size(); ++i) g.set_input_grad(i, grads[i]);
}

// Scores and their use; the causal half is not computed but not subtracted.
int64_t macs_per_score(const Dims& d) {
  return d.batch * d.heads * d.q_len * d.kv_len * d.head_dim;
}
int64_t macs(const NodeView& node) {
  return 2 * macs_per_score(dims_of(node, 0));
}
int64_t macs_grad(const NodeView& node) {
  return 5 * macs_per_score(dims_of(node, 1));
}

// Shapes of q, k, v and the attributes that go with them.
struct Case {
  Shape q, k;
  Attrs attrs;
  bool has_ids;
};

std::vector<Case> cases() {
  return {
      {{5, 8}, {5, 4}, {{"heads", 4}, {"kv_heads", 2}, {"causal", 1}}, false},
      {{6, 6}, {8, 6}, {{"heads", 2}, {"batch", 2}, {"scale", 0.9}}, true},
      {{4, 20}, {10, 20}, {{"heads", 1}, {"batch", 2}, {"causal", 1}}, true},
      {{70, 16},
       {70, 8},
       {{"heads", 2}, {"kv_heads", 1}, {"causal", 1}},
       false}};
}

// key_ids are drawn from 0, 1, 2; 0 is the pad.
std::vector<OpExample> examples() {
  std::vector<OpExample> all;
  for (const Case& c : cases())
    all.push_back({.inputs = {f32(c.q), f32(c.k), f32(c.k), s32({c.k[0]})},
                   .attrs = c.attrs,
                   .low = -1,
                   .high = 3,
                   .absent = c.has_ids ? std::vector<int>{} : std::vector{3}});
  return all;
}

// Random log_sums: large enough that no probability explodes.
std::vector<OpExample> grad_examples() {
  std::vector<OpExample> all;
  for (const Case& c : cases()) {
    const int64_t batch = c.attrs.get_int("batch", 1);
    const Shape sums{batch, c.attrs.get_int("heads"), c.q[0] / batch};
    all.push_back({.inputs = {f32(c.q), f32(c.q), f32(c.k), f32(c.k), f32(c.q),
                              f32(sums), s32({c.k[0]}), f32(sums)},
                   .attrs = c.attrs,
                   .low = -1,
                   .high = 2,
                   .absent = c.has_ids ? std::vector{7} : std::vector{6}});
  }
  return all;
}

// Sums in another order, over up to kv_len terms.
constexpr double kTolerance = 1e-5;
constexpr KernelDef kKernels[] = {
    {"ft_attention_f32_hwy", Isa::kHighway, "f32->f32", &ft_attention_f32_hwy,
     nullptr, prepare_hwy, kTolerance},
    {"ft_attention_f32_c99", Isa::kC99, "f32->f32", &ft_attention_f32_c99},
    {"ft_attention_f64_c99", Isa::kC99, "f64->f64", &ft_attention_f64_c99},
};
constexpr KernelDef kGradKernels[] = {
    {"ft_attention_grad_f32_hwy", Isa::kHighway, "f32->f32",
     &ft_attention_grad_f32_hwy, nullptr, prepare_grad_hwy, kTolerance},
    {"ft_attention_grad_f32_c99", Isa::kC99, "f32->f32",
     &ft_attention_grad_f32_c99},
    {"ft_attention_grad_f64_c99", Isa::kC99, "f64->f64",
     &ft_attention_grad_f64_c99},
};

}  // namespace

// q, k, v, key_ids (optional) -> y, log_sum
constinit const OpDef kAttention = {.name = "attention",
                                    .cost_class = CostClass::kMatrix,
                                    .min_inputs = 3,
                                    .max_inputs = 4,
                                    .infer = infer,
                                    .gradient = gradient,
                                    .lower = lower,
                                    .kernels = kKernels,
                                    .macs = macs,
                                    .examples = examples};

// dy, q, k, v, y, log_sum, key_ids (optional), dlog_sum (optional) -> dq, dk,
// dv
constinit const OpDef kAttentionGrad = {.name = "attention_grad",
                                        .cost_class = CostClass::kMatrix,
                                        .min_inputs = 6,
                                        .max_inputs = 8,
                                        .infer = infer_grad,
                                        .lower = lower_grad,
                                        .kernels = kGradKernels,
                                        .macs = macs_grad,
                                        .examples = grad_examples};

}  // namespace ft::ops
