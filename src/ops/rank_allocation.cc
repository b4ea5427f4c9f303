// Rank allocation of AdaLoRA: the importance of triplets, which of them stay,
// and the singular values that go. The loops live in kernels/adalora/.
//
// Attributes: score: beta1, beta2, last_step; allocate: target, tinit, tfinal,
// total_step, delta_t.
#include "ops/rank_allocation.h"

#include "kernels/adalora/adalora.h"
#include "kernels/select/select.h"
#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/example_types.h"

namespace ft::ops {
namespace {

Status check_like(const NodeView& node, size_t i, const Shape& shape) {
  FT_TRY_STATUS(check_same_dtype(node, 0, i));
  if (node.shape(i) == shape) return ok_status();
  return node.error(fmt::format("input {} is {}, needs {}", i,
                                node.in(i).to_string(), shape.to_string()));
}

// A, dA, B, dB, E, dE, six states, hyper, steps
Result<std::vector<TensorType>> infer_score(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  const Shape &a = node.shape(0), &b = node.shape(2), &e = node.shape(4);
  if (e.rank() != 1 || b.rank() != 2 || a.rank() < 2 || a.num_elements() == 0 ||
      b.num_elements() == 0 || a[0] != e[0] || b[1] != e[0])
    return node.error(fmt::format("A {}, B {} and E {} do not belong together",
                                  a.to_string(), b.to_string(), e.to_string()));
  for (const size_t i : {1u, 6u, 7u}) FT_TRY_STATUS(check_like(node, i, a));
  for (const size_t i : {2u, 3u, 8u, 9u}) FT_TRY_STATUS(check_like(node, i, b));
  for (const size_t i : {4u, 5u, 10u, 11u})
    FT_TRY_STATUS(check_like(node, i, e));
  FT_TRY_STATUS(check_hyper(node, 12));
  FT_TRY_STATUS(check_like(node, 13, {1}));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = e, .quant = {}}};
}

Status lower_score(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const double beta1 = node.attrs->get_real("beta1", 0.85);
  const double beta2 = node.attrs->get_real("beta2", 0.85);
  const int64_t r = node.shape(4)[0];
  lowered.set_params(ft_adalora_score_params{
      .r = static_cast<int32_t>(r),
      .n = static_cast<int32_t>(node.shape(0).num_elements() / r),
      .m = static_cast<int32_t>(node.shape(2)[0]),
      .last_step = node.attrs->get_i("last_step", 1 << 24),
      .beta1 = static_cast<float>(beta1),
      .one_minus_beta1 = static_cast<float>(1 - beta1),
      .beta2 = static_cast<float>(beta2),
      .one_minus_beta2 = static_cast<float>(1 - beta2)});
  return ok_status();
}

int64_t score_macs(const NodeView& node) {
  return 3 * (node.shape(0).num_elements() + node.shape(2).num_elements());
}

// scores, kept, steps, hyper
Result<std::vector<TensorType>> infer_allocate(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  const Shape& scores = node.shape(0);
  if (scores.rank() != 1 || scores[0] < 1)
    return node.error(fmt::format("scores are {}", scores.to_string()));
  FT_TRY_STATUS(check_like(node, 1, scores));
  FT_TRY_STATUS(check_like(node, 2, {1}));
  FT_TRY_STATUS(check_hyper(node, 3));
  const Attrs& a = *node.attrs;
  const int64_t target = a.get_int("target"), tinit = a.get_int("tinit"),
                tfinal = a.get_int("tfinal"), total = a.get_int("total_step"),
                delta = a.get_int("delta_t");
  if (target < 1 || target > scores[0] || tinit < 0 || tfinal < 0 ||
      delta < 1 || total > (1 << 24) || tinit >= total - tfinal)
    return node.error(fmt::format(
        "a schedule to {} of {} triplets over {} steps, tinit {}, tfinal {}, "
        "delta_t {}, is none",
        target, scores[0], total, tinit, tfinal, delta));
  return std::vector<TensorType>{node.in(0)};
}

Status lower_allocate(const LowerContext& context, Lowered& lowered) {
  const Attrs& a = *context.view.attrs;
  const int64_t count = context.view.shape(0)[0];
  lowered.set_params(
      ft_adalora_allocate_params{.count = static_cast<int32_t>(count),
                                 .target = a.get_i("target"),
                                 .tinit = a.get_i("tinit"),
                                 .tfinal = a.get_i("tfinal"),
                                 .total_step = a.get_i("total_step"),
                                 .delta_t = a.get_i("delta_t")});
  lowered.scratch_bytes = FT_SELECT_BYTES;
  return ok_status();
}

// E, mask
Result<std::vector<TensorType>> infer_prune(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY_STATUS(check_like(node, 1, node.shape(0)));
  return std::vector<TensorType>{};
}

Status lower_prune(const LowerContext& context, Lowered& lowered) {
  lowered.set_params(ft_adalora_prune_params{
      .count = static_cast<int32_t>(context.view.shape(0).num_elements())});
  return ok_status();
}

std::vector<OpExample> score_examples() {
  const auto inputs = [](Shape a, Shape b, int64_t r) {
    return std::vector<TensorType>{
        f32(a), f32(a), f32(b), f32(b),   f32({r}), f32({r}), f32(a),
        f32(a), f32(b), f32(b), f32({r}), f32({r}), f32({4}), f32({1})};
  };
  return {{.inputs = inputs({3, 7}, {5, 3}, 3)},
          {.inputs = inputs({2, 3, 3, 4}, {6, 2}, 2),
           .attrs = {{"beta1", 0.5}, {"beta2", 0.9}, {"last_step", 1}}}};
}

std::vector<OpExample> allocate_examples() {
  return {{.inputs = {f32({9}), f32({9}), f32({1}), f32({4})},
           .attrs = {{"target", 4},
                     {"tinit", 0},
                     {"tfinal", 0},
                     {"total_step", 2},
                     {"delta_t", 1}},
           .low = 0.01f}};
}

std::vector<OpExample> prune_examples() {
  return {{.inputs = {f32({11}), f32({11})}}};
}

constexpr KernelDef kScoreKernels[] = {
    {"ft_adalora_score_f32_c99", Isa::kC99, "f32->f32",
     &ft_adalora_score_f32_c99},
    {"ft_adalora_score_f64_c99", Isa::kC99, "f64->f64",
     &ft_adalora_score_f64_c99},
};
constexpr KernelDef kAllocateKernels[] = {
    {"ft_adalora_allocate_f32_c99", Isa::kC99, "f32->f32",
     &ft_adalora_allocate_f32_c99},
    {"ft_adalora_allocate_f64_c99", Isa::kC99, "f64->f64",
     &ft_adalora_allocate_f64_c99},
};
constexpr KernelDef kPruneKernels[] = {
    {"ft_adalora_prune_f32_c99", Isa::kC99, "f32->", &ft_adalora_prune_f32_c99},
    {"ft_adalora_prune_f64_c99", Isa::kC99, "f64->", &ft_adalora_prune_f64_c99},
};

}  // namespace

constinit const OpDef kAdaloraScore = {.name = "adalora_score",
                                       .cost_class = CostClass::kReduction,
                                       .min_inputs = 14,
                                       .max_inputs = 14,
                                       .infer = infer_score,
                                       .lower = lower_score,
                                       .kernels = kScoreKernels,
                                       .mutates = 0b111111u << 6,
                                       .macs = score_macs,
                                       .examples = score_examples};
constinit const OpDef kAdaloraAllocate = {.name = "adalora_allocate",
                                          .cost_class = CostClass::kReduction,
                                          .min_inputs = 4,
                                          .max_inputs = 4,
                                          .infer = infer_allocate,
                                          .lower = lower_allocate,
                                          .kernels = kAllocateKernels,
                                          .mutates = 1u << 1 | 1u << 2,
                                          .examples = allocate_examples};
constinit const OpDef kAdaloraPrune = {.name = "adalora_prune",
                                       .cost_class = CostClass::kReduction,
                                       .min_inputs = 2,
                                       .max_inputs = 2,
                                       .infer = infer_prune,
                                       .lower = lower_prune,
                                       .kernels = kPruneKernels,
                                       .mutates = 1u << 0,
                                       .examples = prune_examples};

}  // namespace ft::ops
