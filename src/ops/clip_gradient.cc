// What stands between a gradient and its update: accumulation over several
// runs of the step, the norm of all gradients, and clipping.
#include "kernels/clip_gradient/clip_gradient.h"

#include <cfloat>

#include "kernels/accumulate_grad/accumulate_grad.h"
#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/example_types.h"

namespace ft::ops {
namespace {

int32_t count_of(const NodeView& node, size_t i) {
  return static_cast<int32_t>(node.shape(i).num_elements());
}

// A positive number that a float holds, or 0 where `may_be_0`.
Status check_number(const NodeView& node, const char* name, bool may_be_0) {
  const double v = node.attrs->get_real(name);
  if ((v > 0 && v <= FLT_MAX) || (may_be_0 && v == 0)) return ok_status();
  return node.error(
      fmt::format("{} is {}, expected a positive number", name, v));
}

Result<std::vector<TensorType>> infer_accumulate(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  FT_TRY_STATUS(check_same_shape(node, 0, 1));
  FT_TRY_STATUS(check_hyper(node, 2));
  FT_TRY_STATUS(check_number(node, "scale", false));
  return std::vector<TensorType>{node.in(1)};
}

Status lower_accumulate(const LowerContext& context, Lowered& lowered) {
  lowered.set_params(ft_accumulate_grad_params{
      .count = count_of(context.view, 0),
      .scale = static_cast<float>(context.view.attrs->get_real("scale"))});
  return ok_status();
}

std::vector<OpExample> accumulate_examples() {
  return {{.inputs = {f32({3, 5}), f32({3, 5}), f32({4})},
           .attrs = {{"scale", 0.25}}}};
}

// Input 1, where it is given, is one number of x's dtype.
Status check_with_number(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  if (!node.has(1)) return ok_status();
  FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  if (node.shape(1) == Shape{1}) return ok_status();
  return node.error(fmt::format("input 1 must have one element, got {}",
                                node.shape(1).to_string()));
}

Result<std::vector<TensorType>> infer_sum_squares(const NodeView& node) {
  FT_TRY_STATUS(check_with_number(node));
  return loss_type(node);
}

Status lower_sum_squares(const LowerContext& context, Lowered& lowered) {
  lowered.set_params(ft_sum_squares_params{.count = count_of(context.view, 0)});
  return ok_status();
}

std::vector<OpExample> sum_squares_examples() {
  return {{.inputs = {f32({3, 5})}}, {.inputs = {f32({700}), f32({1})}}};
}

Result<std::vector<TensorType>> infer_clip(const NodeView& node) {
  FT_TRY_STATUS(check_with_number(node));
  if (node.has(1)) FT_TRY_STATUS(check_number(node, "max_norm", false));
  FT_TRY_STATUS(check_number(node, "max_value", node.has(1)));
  return std::vector<TensorType>{node.in(0)};
}

Status lower_clip(const LowerContext& context, Lowered& lowered) {
  const Attrs& attrs = *context.view.attrs;
  lowered.set_params(ft_clip_gradient_params{
      .count = count_of(context.view, 0),
      .max_norm = static_cast<float>(attrs.get_real("max_norm")),
      .max_value = static_cast<float>(attrs.get_real("max_value"))});
  return ok_status();
}

std::vector<OpExample> clip_examples() {
  return {{.inputs = {f32({3, 5})}, .attrs = {{"max_value", 0.5}}},
          {.inputs = {f32({40}), f32({1})},
           .attrs = {{"max_norm", 0.7}},
           .low = 0.1f},
          {.inputs = {f32({40}), f32({1})},
           .attrs = {{"max_norm", 100.0}, {"max_value", 0.25}},
           .low = 0.1f}};
}

int64_t macs(const NodeView& node) { return node.shape(0).num_elements(); }

constexpr KernelDef kAccumulateKernels[] = {
    {"ft_accumulate_grad_f32_c99", Isa::kC99, "f32->f32",
     &ft_accumulate_grad_f32_c99},
    {"ft_accumulate_grad_f64_c99", Isa::kC99, "f64->f64",
     &ft_accumulate_grad_f64_c99},
};

constexpr KernelDef kSumSquaresKernels[] = {
    {"ft_sum_squares_f32_c99", Isa::kC99, "f32->f32", &ft_sum_squares_f32_c99},
    {"ft_sum_squares_f64_c99", Isa::kC99, "f64->f64", &ft_sum_squares_f64_c99},
};

constexpr KernelDef kClipKernels[] = {
    {"ft_clip_gradient_f32_c99", Isa::kC99, "f32->f32",
     &ft_clip_gradient_f32_c99},
    {"ft_clip_gradient_f64_c99", Isa::kC99, "f64->f64",
     &ft_clip_gradient_f64_c99},
};

}  // namespace

// acc (state), grad, hyper -> total
constinit const OpDef kAccumulateGrad = {.name = "accumulate_grad",
                                         .min_inputs = 3,
                                         .max_inputs = 3,
                                         .infer = infer_accumulate,
                                         .lower = lower_accumulate,
                                         .kernels = kAccumulateKernels,
                                         .inplace_input = 1,
                                         .mutates = 1u << 0,
                                         .macs = macs,
                                         .examples = accumulate_examples};

// x, so_far (optional) -> [1]
constinit const OpDef kSumSquares = {.name = "sum_squares",
                                     .cost_class = CostClass::kReduction,
                                     .min_inputs = 1,
                                     .max_inputs = 2,
                                     .infer = infer_sum_squares,
                                     .lower = lower_sum_squares,
                                     .kernels = kSumSquaresKernels,
                                     .macs = macs,
                                     .examples = sum_squares_examples};

// x, sum_squares (optional) -> y
constinit const OpDef kClipGradient = {.name = "clip_gradient",
                                       .min_inputs = 1,
                                       .max_inputs = 2,
                                       .infer = infer_clip,
                                       .lower = lower_clip,
                                       .kernels = kClipKernels,
                                       .inplace_input = 0,
                                       .macs = macs,
                                       .examples = clip_examples};

}  // namespace ft::ops
