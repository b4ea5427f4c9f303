// Mean softmax cross-entropy of class labels, and its gradient by the logits,
// which may take their place: a language model's head needs one buffer of
// [tokens, vocabulary] beside the labels. Rows with a label that is no class
// (padding) do not count.
#include "kernels/softmax_cross_entropy/softmax_cross_entropy.h"

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/example_types.h"
#include "ops/gradient.h"

namespace ft::ops {
namespace {

Status check(const NodeView& node) {
  const Shape& x = node.shape(0);
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  if (x.rank() != 2 || x.num_elements() == 0)
    return node.error(
        fmt::format("logits must be [rows, classes], got {}", x.to_string()));
  if (node.in(1).dtype != DType::kS32 || node.shape(1) != Shape{x[0]})
    return node.error(fmt::format("labels must be int32[{}], got {}", x[0],
                                  node.in(1).to_string()));
  return ok_status();
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check(node));
  return loss_type(node);
}

Result<std::vector<TensorType>> infer_grad(const NodeView& node) {
  FT_TRY_STATUS(check(node));
  return loss_grad_type(node);
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const Shape& x = context.view.shape(0);
  lowered.set_params(
      ft_softmax_cross_entropy_params{.rows = static_cast<int32_t>(x[0]),
                                      .classes = static_cast<int32_t>(x[1])});
  return ok_status();
}

void gradient(GradientBuilder& g) {
  if (g.needs_grad(0))
    g.set_input_grad(0, g.emit(kSoftmaxCrossEntropyGrad,
                               {g.input(0), g.input(1), g.output_grad()}));
}

int64_t macs(const NodeView& node) { return node.shape(0).num_elements(); }

std::vector<OpExample> examples() {
  return {{.inputs = {f32({3, 5}), s32({3})}, .low = -4, .high = 4},
          {.inputs = {f32({1, 12}), s32({1})}, .low = -4, .high = 4},
          {.inputs = {f32({4, 67}), s32({4})},
           .low = -90,
           .high = 90,
           .note = "labels 67 ... 89 are no classes"}};
}

std::vector<OpExample> grad_examples() {
  return {{.inputs = {f32({3, 5}), s32({3}), f32({1})}, .low = -4, .high = 4},
          {.inputs = {f32({2, 37}), s32({2}), f32({1})}, .low = -4, .high = 4}};
}

constexpr KernelDef kKernels[] = {
    {"ft_softmax_cross_entropy_f32_hwy", Isa::kHighway, "f32->f32",
     &ft_softmax_cross_entropy_f32_hwy},
    {"ft_softmax_cross_entropy_f32_c99", Isa::kC99, "f32->f32",
     &ft_softmax_cross_entropy_f32_c99},
    {"ft_softmax_cross_entropy_f64_c99", Isa::kC99, "f64->f64",
     &ft_softmax_cross_entropy_f64_c99},
};

constexpr KernelDef kGradKernels[] = {
    {"ft_softmax_cross_entropy_grad_f32_hwy", Isa::kHighway, "f32->f32",
     &ft_softmax_cross_entropy_grad_f32_hwy},
    {"ft_softmax_cross_entropy_grad_f32_c99", Isa::kC99, "f32->f32",
     &ft_softmax_cross_entropy_grad_f32_c99},
    {"ft_softmax_cross_entropy_grad_f64_c99", Isa::kC99, "f64->f64",
     &ft_softmax_cross_entropy_grad_f64_c99},
};

}  // namespace

constinit const OpDef kSoftmaxCrossEntropy = {
    .name = "softmax_cross_entropy",
    .cost_class = CostClass::kNonlinear,
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer,
    .gradient = gradient,
    .lower = lower,
    .kernels = kKernels,
    .macs = macs,
    .examples = examples};

constinit const OpDef kSoftmaxCrossEntropyGrad = {
    .name = "softmax_cross_entropy_grad",
    .cost_class = CostClass::kNonlinear,
    .min_inputs = 3,
    .max_inputs = 3,
    .infer = infer_grad,
    .lower = lower,
    .kernels = kGradKernels,
    .inplace_input = 0,
    .examples = grad_examples};

}  // namespace ft::ops
