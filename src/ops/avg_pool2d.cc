// Average over windows; padding does not count.
#include "ops/all_ops.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/overlap.h"
#include "ops/pool2d.h"

namespace ft::ops {
namespace {

void gradient(GradientBuilder& g) {
  if (!g.needs_grad(0)) return;
  g.set_input_grad(
      0, g.emit(kAvgPool2dGrad, {pool2d_act_grad(g)}, pool2d_grad_attrs(g)));
}

Result<std::vector<TensorType>> infer_grad(const NodeView& node) {
  FT_TRY(const ft_pool2d_params p, pool2d_grad_params(node));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = pool2d_image(p), .quant = {}}};
}

std::vector<OpExample> grad_examples() {
  return {
      {.inputs = {f32({2, 1, 1, 4})},
       .attrs = {{"filter_h", 5}, {"filter_w", 3}, {"in_h", 5}, {"in_w", 3}}},
      {.inputs = {f32({2, 4, 4, 3})},
       .attrs = {{"filter_h", 3},
                 {"filter_w", 2},
                 {"stride_h", 2},
                 {"pad_top", 1},
                 {"pad_bottom", 2},
                 {"in_h", 7},
                 {"in_w", 5}}}};
}

bool accepts_hwy(const LowerContext&, const Lowered& lowered) {
  return ft_avg_pool2d_s8_hwy_accepts(&lowered.params_as<ft_pool2d_params>()) !=
         0;
}

constexpr KernelDef kRows[] = {
    {"ft_avg_pool2d_s8_hwy", Isa::kHighway, "s8->s8", &ft_avg_pool2d_s8_hwy,
     accepts_hwy},
    {"ft_avg_pool2d_f32_c99", Isa::kC99, "f32->f32", &ft_avg_pool2d_f32_c99},
    {"ft_avg_pool2d_f64_c99", Isa::kC99, "f64->f64", &ft_avg_pool2d_f64_c99},
    {"ft_avg_pool2d_s8_c99", Isa::kC99, "s8->s8", &ft_avg_pool2d_s8_c99},
};

constexpr KernelDef kGradRows[] = {
    {"ft_avg_pool2d_grad_f32_c99", Isa::kC99, "f32->f32",
     &ft_avg_pool2d_grad_f32_c99},
    {"ft_avg_pool2d_grad_f64_c99", Isa::kC99, "f64->f64",
     &ft_avg_pool2d_grad_f64_c99},
};

Overlap overlap(const KernelDef& row, const LowerContext& context,
                const Lowered& lowered) {
  if (row.isa != Isa::kC99) return {};
  return pool_overlap(context.view, lowered.params_as<ft_pool2d_params>());
}

}  // namespace

constinit const OpDef kAvgPool2d = {.name = "avg_pool2d",
                                    .cost_class = CostClass::kReduction,
                                    .infer = infer_pool2d,
                                    .gradient = gradient,
                                    .lower = lower_pool2d,
                                    .kernels = kRows,
                                    .overlap = overlap,
                                    .macs = pool2d_macs,
                                    .examples = pool2d_examples};

constinit const OpDef kAvgPool2dGrad = {.name = "avg_pool2d_grad",
                                        .cost_class = CostClass::kReduction,
                                        .infer = infer_grad,
                                        .lower = lower_pool2d_grad,
                                        .kernels = kGradRows,
                                        .macs = pool2d_grad_macs,
                                        .examples = grad_examples};

}  // namespace ft::ops
