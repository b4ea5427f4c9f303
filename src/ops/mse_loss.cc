// Mean squared error over all elements, and its gradient by the prediction.
#include "kernels/mse_loss/mse_loss.h"

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/example_types.h"
#include "ops/gradient.h"

namespace ft::ops {
namespace {

Status check(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  FT_TRY_STATUS(check_same_shape(node, 0, 1));
  if (node.shape(0).num_elements() == 0)
    return node.error(
        fmt::format("no elements to average in {}", node.shape(0).to_string()));
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
  lowered.set_params(ft_mse_loss_params{
      .count = static_cast<int32_t>(context.view.shape(0).num_elements())});
  return ok_status();
}

// The roles are symmetric: d target = -d pred.
void gradient(GradientBuilder& g) {
  const ValueId pred = g.input(0), target = g.input(1), dy = g.output_grad();
  if (g.needs_grad(0))
    g.set_input_grad(0, g.emit(kMseLossGrad, {pred, target, dy}));
  if (g.needs_grad(1))
    g.set_input_grad(1, g.emit(kMseLossGrad, {target, pred, dy}));
}

int64_t macs(const NodeView& node) { return node.shape(0).num_elements(); }

std::vector<OpExample> examples() {
  return {{.inputs = {f32({3, 7}), f32({3, 7})}},
          {.inputs = {f32({1, 2, 5, 3}), f32({1, 2, 5, 3})}}};
}

std::vector<OpExample> grad_examples() {
  return {{.inputs = {f32({3, 7}), f32({3, 7}), f32({1})}}};
}

constexpr KernelDef kKernels[] = {
    {"ft_mse_loss_f32_c99", Isa::kC99, "f32->f32", &ft_mse_loss_f32_c99},
    {"ft_mse_loss_f64_c99", Isa::kC99, "f64->f64", &ft_mse_loss_f64_c99},
};

constexpr KernelDef kGradKernels[] = {
    {"ft_mse_loss_grad_f32_c99", Isa::kC99, "f32->f32",
     &ft_mse_loss_grad_f32_c99},
    {"ft_mse_loss_grad_f64_c99", Isa::kC99, "f64->f64",
     &ft_mse_loss_grad_f64_c99},
};

}  // namespace

constinit const OpDef kMseLoss = {.name = "mse_loss",
                                  .cost_class = CostClass::kNonlinear,
                                  .min_inputs = 2,
                                  .max_inputs = 2,
                                  .infer = infer,
                                  .gradient = gradient,
                                  .lower = lower,
                                  .kernels = kKernels,
                                  .macs = macs,
                                  .examples = examples};

constinit const OpDef kMseLossGrad = {.name = "mse_loss_grad",
                                      .cost_class = CostClass::kNonlinear,
                                      .min_inputs = 3,
                                      .max_inputs = 3,
                                      .infer = infer_grad,
                                      .lower = lower,
                                      .kernels = kGradKernels,
                                      .inplace_input = 0,
                                      .examples = grad_examples};

}  // namespace ft::ops
