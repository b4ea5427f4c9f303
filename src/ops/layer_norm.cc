// Layer normalization along the last axis, and its gradient by x. The gradients
// of gamma and beta are compositions of plain ops.
//
// Attributes: eps, center (default 1; 0: RMSNorm, which subtracts no mean;
// Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019).
#include "kernels/layer_norm/layer_norm.h"

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/sum_to_shape.h"

namespace ft::ops {
namespace {

// Inputs from `first_vector` on are optional and have one element per column.
Result<std::vector<TensorType>> infer_rows(const NodeView& node,
                                           size_t first_vector) {
  const Shape& x = node.shape(0);
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  if (x.rank() < 1 || x.num_elements() == 0)
    return node.error(fmt::format("no rows in {}", x.to_string()));
  for (size_t i = 1; i < node.num_inputs(); ++i) {
    if (!node.has(i)) continue;
    FT_TRY_STATUS(check_same_dtype(node, 0, i));
    const Shape wanted = i < first_vector ? x : Shape{x.back()};
    if (node.shape(i) != wanted)
      return node.error(fmt::format("input {} is {}, needs {}", i,
                                    node.shape(i).to_string(),
                                    wanted.to_string()));
  }
  if (!(node.attrs->get_real("eps", 1e-5) >= 0))
    return node.error("eps must not be negative");
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = x, .quant = {}}};
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  return infer_rows(node, 1);
}

Result<std::vector<TensorType>> infer_grad(const NodeView& node) {
  return infer_rows(node, 2);
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const Shape& x = context.view.shape(0);
  lowered.set_params(ft_layer_norm_params{
      .rows = static_cast<int32_t>(x.num_elements() / x.back()),
      .cols = static_cast<int32_t>(x.back()),
      .center = context.view.attrs->get_int("center", 1) != 0,
      .eps = static_cast<float>(context.view.attrs->get_real("eps", 1e-5))});
  return ok_status();
}

void gradient(GradientBuilder& g) {
  const ValueId x = g.input(0), gamma = g.input(1), dy = g.output_grad();
  if (g.needs_grad(0))
    g.set_input_grad(0, g.emit(kLayerNormGrad, {dy, x, gamma}, g.attrs()));
  if (gamma != kNone && g.needs_grad(1)) {
    const ValueId normalized = g.emit(kLayerNorm, {x}, g.attrs());
    const ValueId product =
        g.emit(kBinary, {dy, normalized}, {{"kind", "mul"}});
    g.set_input_grad(1, emit_sum_to_shape(g, product, g.shape(gamma)));
  }
  if (g.input(2) != kNone && g.needs_grad(2))
    g.set_input_grad(2, emit_sum_to_shape(g, dy, g.shape(g.input(2))));
}

std::vector<OpExample> examples() {
  return {{.inputs = {f32({3, 7}), f32({7}), f32({7})}},
          {.inputs = {f32({2, 3, 37}), f32({37}), f32({37})},
           .attrs = {{"eps", 1e-3}}},
          {.inputs = {f32({4, 5}), f32({5}), f32({5})}, .absent = {1, 2}},
          {.inputs = {f32({4, 5}), f32({5}), f32({5})}, .absent = {2}},
          {.inputs = {f32({3, 2, 37}), f32({37})}, .attrs = {{"center", 0}}}};
}

std::vector<OpExample> grad_examples() {
  return {{.inputs = {f32({3, 7}), f32({3, 7}), f32({7})}},
          {.inputs = {f32({2, 37}), f32({2, 37}), f32({37})}, .absent = {2}},
          {.inputs = {f32({3, 37}), f32({3, 37}), f32({37})},
           .attrs = {{"center", 0}}}};
}

constexpr KernelDef kKernels[] = {
    {"ft_layer_norm_f32_c99", Isa::kC99, "f32->f32", &ft_layer_norm_f32_c99},
    {"ft_layer_norm_f64_c99", Isa::kC99, "f64->f64", &ft_layer_norm_f64_c99},
};

constexpr KernelDef kGradKernels[] = {
    {"ft_layer_norm_grad_f32_c99", Isa::kC99, "f32->f32",
     &ft_layer_norm_grad_f32_c99},
    {"ft_layer_norm_grad_f64_c99", Isa::kC99, "f64->f64",
     &ft_layer_norm_grad_f64_c99},
};

}  // namespace

// x, gamma (optional), beta (optional)
constinit const OpDef kLayerNorm = {.name = "layer_norm",
                                    .cost_class = CostClass::kNonlinear,
                                    .min_inputs = 1,
                                    .max_inputs = 3,
                                    .infer = infer,
                                    .gradient = gradient,
                                    .lower = lower,
                                    .kernels = kKernels,
                                    .inplace_input = 0,
                                    .examples = examples};

// dy, x, gamma (optional)
constinit const OpDef kLayerNormGrad = {.name = "layer_norm_grad",
                                        .cost_class = CostClass::kNonlinear,
                                        .min_inputs = 2,
                                        .max_inputs = 3,
                                        .infer = infer_grad,
                                        .lower = lower,
                                        .kernels = kGradKernels,
                                        .inplace_input = 0,
                                        .examples = grad_examples};

}  // namespace ft::ops
