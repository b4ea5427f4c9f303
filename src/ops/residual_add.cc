// x + u, where u is a float side in real units and x may be int8: how an
// inserted layer (a bottleneck adapter) is added to a deployed activation. The
// sum keeps x's quantizer. Loops in kernels/residual_add/.
#include "kernels/residual_add/residual_add.h"

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/example_types.h"
#include "ops/gradient.h"

namespace ft::ops {
namespace {

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real_or_per_tensor(node, 0));
  FT_TRY_STATUS(check_real(node, 1));
  FT_TRY_STATUS(check_same_shape(node, 0, 1));
  if (node.in(0).dtype != DType::kS8)
    FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  else if (node.in(1).dtype != DType::kF32)
    return node.error("input 1 beside int8 must be float32");
  return std::vector<TensorType>{node.in(0)};
}

// Both get dy, but for saturated int8 values.
void gradient(GradientBuilder& g) {
  const ValueId dy = emit_pre_activation_grad(g);
  for (size_t i = 0; i < 2; ++i)
    if (g.needs_grad(i)) g.set_input_grad(i, dy);
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const TensorType& x = context.view.in(0);
  lowered.set_params(ft_residual_add_params{
      .count = static_cast<int32_t>(x.shape.num_elements()),
      .inv_scale = x.dtype == DType::kS8 ? 1 / x.quant.scale[0] : 1.0f});
  return ok_status();
}

std::vector<OpExample> examples() {
  return {{.inputs = {f32({3, 7}), f32({3, 7})}},
          {.inputs = {f32({2, 2, 5, 3}), f32({2, 2, 5, 3})}},
          {.inputs = {s8({4, 33}, 0.05f, -10), f32({4, 33})}},
          {.inputs = {s8({61}, 0.02f, 100), f32({61})},
           .low = -4,
           .high = 4,
           .note = "saturates"},
          {.inputs = {s8({61}, 0.02f, 100), f32({61})},
           .low = -1e9,
           .high = 1e9,
           .note = "beyond what is rounded"}};
}

constexpr KernelDef kKernels[] = {
    {"ft_residual_add_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_residual_add_f32_hwy},
    {"ft_residual_add_s8f32_hwy", Isa::kHighway, "s8,f32->s8",
     &ft_residual_add_s8f32_hwy},
    {"ft_residual_add_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_residual_add_f32_c99},
    {"ft_residual_add_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_residual_add_f64_c99},
    {"ft_residual_add_s8f32_c99", Isa::kC99, "s8,f32->s8",
     &ft_residual_add_s8f32_c99},
};

}  // namespace

constinit const OpDef kResidualAdd = {.name = "residual_add",
                                      .min_inputs = 2,
                                      .max_inputs = 2,
                                      .infer = infer,
                                      .gradient = gradient,
                                      .lower = lower,
                                      .kernels = kKernels,
                                      .signature_inputs = 2,
                                      .inplace_input = 0,
                                      .examples = examples};

}  // namespace ft::ops
