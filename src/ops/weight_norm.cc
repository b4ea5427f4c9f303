// Length of each output's weights with a low-rank update, |W + scaling B A|
// along everything but the output: what DoRA divides by. It has no gradient
// (Liu et al., "DoRA: Weight-Decomposed Low-Rank Adaptation", 2024, section
// 4.3). The loops live in kernels/weight_norm/.
//
// Attributes: scaling (default 1).
#include "kernels/weight_norm/weight_norm.h"

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

// w [rows, ...] or [1, kh, kw, rows], a of r * columns elements, b [rows, r]
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  for (size_t i = 1; i < 3; ++i) FT_TRY_STATUS(check_real(node, i));
  FT_TRY_STATUS(check_same_dtype(node, 1, 2));
  const Shape &w = node.shape(0), &a = node.shape(1), &b = node.shape(2);
  const auto mismatch = [&] {
    return node.error(fmt::format("w {}, a {} and b {} do not belong together",
                                  w.to_string(), a.to_string(), b.to_string()));
  };
  if (w.rank() < 2 || b.rank() != 2 || a.rank() < 2 || w.num_elements() == 0 ||
      b.num_elements() == 0)
    return mismatch();
  const bool last = outputs_last(w, b[0]);
  if ((!last && w[0] != b[0]) || a[0] != b[1] ||
      a.num_elements() / a[0] != w.num_elements() / b[0])
    return mismatch();
  if (node.in(0).dtype == DType::kS8)
    FT_TRY_STATUS(check_s8(node, 0, "w", true, last ? 3 : 0));
  else
    FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  return std::vector<TensorType>{
      {.dtype = node.in(1).dtype, .shape = {b[0]}, .quant = {}}};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape &w = node.shape(0), &b = node.shape(2);
  const auto columns = static_cast<int32_t>(w.num_elements() / b[0]);
  const bool last = outputs_last(w, b[0]);
  lowered.set_params(ft_weight_norm_params{
      .rows = static_cast<int32_t>(b[0]),
      .columns = columns,
      .rank = static_cast<int32_t>(b[1]),
      .out_step = last ? 1 : columns,
      .step = last ? static_cast<int32_t>(b[0]) : 1,
      .scaling = static_cast<float>(node.attrs->get_real("scaling", 1))});
  if (node.in(0).dtype == DType::kS8)
    lowered.add_aux<float>(channel_scales(node.in(0), b[0]));
  return ok_status();
}

int64_t macs(const NodeView& node) {
  return node.shape(0).num_elements() * (node.shape(2)[1] + 1);
}

std::vector<OpExample> examples() {
  return {
      {.inputs = {f32({5, 7}), f32({3, 7}), f32({5, 3})},
       .attrs = {{"scaling", 0.5}}},
      {.inputs = {f32({4, 3, 2, 5}), f32({2, 3, 2, 5}), f32({4, 2})}},
      {.inputs = {f32({1, 3, 3, 6}), f32({2, 9}), f32({6, 2})},
       .attrs = {{"scaling", 2.0}},
       .note = "depthwise"},
      {.inputs = {s8_per_channel({6, 2, 2, 3}, 0), f32({4, 2, 2, 3}),
                  f32({6, 4})}},
      {.inputs = {f32({53, 35}), f32({3, 35}), f32({53, 3})},
       .attrs = {{"scaling", 0.5}},
       .note = "more outputs than a block has"},
      {.inputs = {s8({4, 9}, 0.02f, 0), f32({1, 9}), f32({4, 1})}},
      {.inputs = {s8_per_channel({1, 3, 3, 6}, 3), f32({2, 9}), f32({6, 2})}}};
}

Status prepare_hwy(const LowerContext&, Lowered& lowered) {
  lowered.scratch_bytes = ft_weight_norm_hwy_scratch_bytes(
      &lowered.params_as<ft_weight_norm_params>());
  return ok_status();
}

constexpr double kTolerance = 1e-5;
constexpr KernelDef kKernels[] = {
    {"ft_weight_norm_f32_hwy", Isa::kHighway, "f32->f32",
     &ft_weight_norm_f32_hwy, nullptr, prepare_hwy, kTolerance},
    {"ft_weight_norm_s8_hwy", Isa::kHighway, "s8->f32", &ft_weight_norm_s8_hwy,
     nullptr, prepare_hwy, kTolerance},
    {"ft_weight_norm_f32_c99", Isa::kC99, "f32->f32", &ft_weight_norm_f32_c99},
    {"ft_weight_norm_f64_c99", Isa::kC99, "f64->f64", &ft_weight_norm_f64_c99},
    {"ft_weight_norm_s8_c99", Isa::kC99, "s8->f32", &ft_weight_norm_s8_c99},
};

}  // namespace

constinit const OpDef kWeightNorm = {.name = "weight_norm",
                                     .cost_class = CostClass::kReduction,
                                     .min_inputs = 3,
                                     .max_inputs = 3,
                                     .infer = infer,
                                     .lower = lower,
                                     .kernels = kKernels,
                                     .macs = macs,
                                     .examples = examples};

}  // namespace ft::ops
