// Gradient of a clamp: of the activation fused behind a linear op, and of int8
// saturation. Straight-through: an int8 value that is not clamped passes its
// gradient on as if it were real.
#include "kernels/activation_grad/activation_grad.h"

#include <cfloat>

#include "ops/activation_bounds.h"
#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/division.h"
#include "ops/example_types.h"

namespace ft::ops {
namespace {

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY_STATUS(check_real_or_per_tensor(node, 1));
  FT_TRY_STATUS(check_same_shape(node, 0, 1));
  FT_TRY_STATUS(check_act(node));
  if (node.in(1).dtype != DType::kS8)
    FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = node.shape(0), .quant = {}}};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const int64_t act = node.attrs->get_int("act");
  ft_activation_grad_params p{
      .count = static_cast<int32_t>(node.shape(0).num_elements()),
      .low = -FLT_MAX,
      .high = FLT_MAX,
      .q_low = -128,
      .q_high = 127};
  if (act != FT_ACT_NONE) p.low = act == FT_ACT_RELU_N1 ? -1.0f : 0.0f;
  if (act == FT_ACT_RELU6) p.high = 6.0f;
  if (act == FT_ACT_RELU_N1) p.high = 1.0f;
  if (node.in(1).dtype == DType::kS8) {
    const ActivationBounds q = activation_bounds(act, node.in(1).quant);
    p.q_low = q.low;
    p.q_high = q.high;
  }
  lowered.set_params(p);
  return ok_status();
}

std::vector<OpExample> examples() {
  return {
      {.inputs = {f32({3, 7}), f32({3, 7})}, .attrs = {{"act", FT_ACT_RELU}}},
      {.inputs = {f32({19}), f32({19})},
       .attrs = {{"act", FT_ACT_RELU6}},
       .low = -2,
       .high = 9},
      {.inputs = {f32({2, 2, 5}), f32({2, 2, 5})},
       .attrs = {{"act", FT_ACT_RELU_N1}},
       .low = -2,
       .high = 2},
      {.inputs = {f32({9}), f32({9})}},
      {.inputs = {f32({4, 35}), s8({4, 35}, 0.05f, -10)}},
      {.inputs = {f32({4, 35}), s8({4, 35}, 0.05f, -10)},
       .attrs = {{"act", FT_ACT_RELU6}}}};
}

constexpr KernelDef kKernels[] = {
    {"ft_activation_grad_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_activation_grad_f32_hwy},
    {"ft_activation_grad_f32s8_hwy", Isa::kHighway, "f32,s8->f32",
     &ft_activation_grad_f32s8_hwy},
    {"ft_activation_grad_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_activation_grad_f32_c99},
    {"ft_activation_grad_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_activation_grad_f64_c99},
    {"ft_activation_grad_f32s8_c99", Isa::kC99, "f32,s8->f32",
     &ft_activation_grad_f32s8_c99},
};

Division divide_elements(const KernelDef& /*row*/, const NodeView& /*node*/,
                         const Lowered& lowered) {
  return in_units(lowered.params_as<ft_activation_grad_params>().count);
}

}  // namespace

constinit const OpDef kActivationGrad = {.name = "activation_grad",
                                         .min_inputs = 2,
                                         .max_inputs = 2,
                                         .infer = infer,
                                         .lower = lower,
                                         .kernels = kKernels,
                                         .signature_inputs = 2,
                                         .inplace_input = 0,
                                         .divide = divide_elements,
                                         .examples = examples};

}  // namespace ft::ops
