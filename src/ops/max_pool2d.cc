// Maximum over windows; padding never wins.
#include "ops/all_ops.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/movement.h"
#include "ops/overlap.h"
#include "ops/pool2d.h"

namespace ft::ops {
namespace {

void gradient(GradientBuilder& g) {
  if (!g.needs_grad(0)) return;
  g.set_input_grad(
      0, g.emit(kMaxPool2dGrad, {pool2d_act_grad(g), g.input(0), g.output()},
                pool2d_grad_attrs(g)));
}

Result<std::vector<TensorType>> infer_grad(const NodeView& node) {
  FT_TRY(const ft_pool2d_params p, pool2d_grad_params(node));
  for (size_t i = 1; i < 3; ++i) {
    FT_TRY_STATUS(check_movable(node, i));
    FT_TRY_STATUS(check_real_or_per_tensor(node, i));
  }
  FT_TRY_STATUS(check_same_dtype(node, 1, 2));
  FT_TRY_STATUS(check_same_shape(node, 0, 2));
  if (node.in(1).dtype != DType::kS8)
    FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  if (node.shape(1) != pool2d_image(p))
    return node.error(fmt::format("x is {}, but in_h and in_w say {}",
                                  node.shape(1).to_string(),
                                  pool2d_image(p).to_string()));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = pool2d_image(p), .quant = {}}};
}

std::vector<OpExample> grad_examples() {
  const Attrs attrs = {{"filter_h", 3}, {"filter_w", 2},   {"stride_h", 2},
                       {"pad_top", 1},  {"pad_bottom", 2}, {"in_h", 7},
                       {"in_w", 5}};
  return {{.inputs = {f32({2, 4, 4, 3}), f32({2, 7, 5, 3}), f32({2, 4, 4, 3})},
           .attrs = attrs},
          {.inputs = {f32({2, 4, 4, 3}), s8({2, 7, 5, 3}, 0.1f, 4),
                      s8({2, 4, 4, 3}, 0.1f, 4)},
           .attrs = attrs}};
}

constexpr KernelDef kRows[] = {
    {"ft_max_pool2d_f32_c99", Isa::kC99, "f32->f32", &ft_max_pool2d_f32_c99},
    {"ft_max_pool2d_f64_c99", Isa::kC99, "f64->f64", &ft_max_pool2d_f64_c99},
    {"ft_max_pool2d_s8_c99", Isa::kC99, "s8->s8", &ft_max_pool2d_s8_c99},
};

constexpr KernelDef kGradRows[] = {
    {"ft_max_pool2d_grad_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_max_pool2d_grad_f32_c99},
    {"ft_max_pool2d_grad_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_max_pool2d_grad_f64_c99},
    {"ft_max_pool2d_grad_f32s8_c99", Isa::kC99, "f32,s8->f32",
     &ft_max_pool2d_grad_f32s8_c99},
};

Overlap overlap(const KernelDef& row, const LowerContext& context,
                const Lowered& lowered) {
  if (row.isa != Isa::kC99) return {};
  return pool_overlap(context.view, lowered.params_as<ft_pool2d_params>());
}

}  // namespace

constinit const OpDef kMaxPool2d = {.name = "max_pool2d",
                                    .cost_class = CostClass::kReduction,
                                    .infer = infer_pool2d,
                                    .gradient = gradient,
                                    .lower = lower_pool2d,
                                    .kernels = kRows,
                                    .overlap = overlap,
                                    .macs = pool2d_macs,
                                    .examples = pool2d_examples};

constinit const OpDef kMaxPool2dGrad = {.name = "max_pool2d_grad",
                                        .cost_class = CostClass::kReduction,
                                        .min_inputs = 3,
                                        .max_inputs = 3,
                                        .infer = infer_grad,
                                        .lower = lower_pool2d_grad,
                                        .kernels = kGradRows,
                                        .signature_inputs = 2,
                                        .macs = pool2d_grad_macs,
                                        .examples = grad_examples};

}  // namespace ft::ops
