// Losses, softmax and quantization of answers on block floating point. The
// loops live in kernels/bfp_losses/.
//
// A loss is int32[2], mantissa and exponent; its scale is the factor. The
// target of the squared error is int32 with one scale.
#include "kernels/bfp_losses/bfp_losses.h"

#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

TensorType loss_value(double factor) {
  return {.dtype = DType::kS32,
          .shape = {2},
          .quant = QuantParams::per_tensor(static_cast<float>(factor), 0)};
}

void set_unit(double unit, ft_bfp_loss_params& p) {
  const FixedFactor f = fixed_factor(unit);
  p.multiplier = f.multiplier;
  p.shift = f.exponent + 31;
}

// Sums of exponentials are Q12.19 numbers.
constexpr int64_t kMaxClasses = 4095;

Status check_rows(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  const Shape& x = node.shape(0);
  if (x.rank() >= 1 && x.back() <= kMaxClasses) return ok_status();
  return node.error(fmt::format("rows of {} must have 1 to {} elements",
                                x.to_string(), kMaxClasses));
}

// x, x_exp, labels
Status check_labelled(const NodeView& node) {
  FT_TRY_STATUS(check_rows(node));
  const Shape& x = node.shape(0);
  if (x.rank() == 2 && node.in(2).dtype == DType::kS32 &&
      node.shape(2) == Shape{x[0]})
    return ok_status();
  return node.error(
      fmt::format("needs logits [rows, classes] and one int32 "
                  "label a row, got {} and {}",
                  x.to_string(), node.in(2).to_string()));
}

Result<std::vector<TensorType>> infer_entropy(const NodeView& node) {
  FT_TRY_STATUS(check_labelled(node));
  return std::vector<TensorType>{loss_value(1)};
}

double mean_factor(const NodeView& node) {
  return 1 / static_cast<double>(node.shape(0)[0]);
}

Result<std::vector<TensorType>> infer_entropy_grad(const NodeView& node) {
  FT_TRY_STATUS(check_labelled(node));
  return std::vector<TensorType>{
      bfp_type(node.shape(0), split_factor(mean_factor(node)).factor),
      exponent_type()};
}

Result<std::vector<TensorType>> infer_softmax(const NodeView& node) {
  FT_TRY_STATUS(check_rows(node));
  const double beta = node.attrs->get_real("beta", 1);
  if (!(beta > 0 && beta < 1e6))
    return node.error(fmt::format("beta is {}, must be positive", beta));
  return std::vector<TensorType>{bfp_type(node.shape(0), 1), exponent_type()};
}

Status lower_rows(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape& x = node.shape(0);
  ft_bfp_loss_params p{
      .rows = static_cast<int32_t>(x.num_elements() / x.back()),
      .classes = static_cast<int32_t>(x.back()),
      .multiplier = 0,
      .shift = 0,
      .exponent = split_factor(mean_factor(node)).exponent,
      .zero_point = 0};
  set_unit(factor_of(node, 0) * node.attrs->get_real("beta", 1), p);
  lowered.set_params(p);
  lowered.scratch_bytes = static_cast<size_t>(p.classes) * sizeof(int64_t);
  return ok_status();
}

// pred, pred_exp, target. Squares of 2^21 times this count stay in int64.
constexpr int64_t kMaxCount = int64_t{1} << 19;

Status check_target(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  FT_TRY_STATUS(check_same_shape(node, 0, 2));
  const TensorType& target = node.in(2);
  if (target.dtype == DType::kS32 && target.quant.scale.size() == 1 &&
      std::isnormal(target.quant.scale[0]) && target.quant.scale[0] > 0 &&
      target.shape.num_elements() <= kMaxCount)
    return ok_status();
  return node.error(
      fmt::format("target is {}, needs int32 with one scale and at most {} "
                  "elements",
                  target.to_string(), kMaxCount));
}

Result<std::vector<TensorType>> infer_mse(const NodeView& node) {
  FT_TRY_STATUS(check_target(node));
  const double unit = factor_of(node, 2);
  return std::vector<TensorType>{loss_value(unit * unit)};
}

double error_factor(const NodeView& node) {
  return 2 * factor_of(node, 2) /
         static_cast<double>(node.shape(0).num_elements());
}

Result<std::vector<TensorType>> infer_mse_grad(const NodeView& node) {
  FT_TRY_STATUS(check_target(node));
  return std::vector<TensorType>{
      bfp_type(node.shape(0), split_factor(error_factor(node)).factor),
      exponent_type()};
}

Status lower_mse(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  ft_bfp_loss_params p{
      .rows = static_cast<int32_t>(node.shape(0).num_elements()),
      .classes = 1,
      .multiplier = 0,
      .shift = 0,
      .exponent = split_factor(error_factor(node)).exponent,
      .zero_point = 0};
  set_unit(factor_of(node, 0) / factor_of(node, 2), p);
  lowered.set_params(p);
  return ok_status();
}

// x, x_exp -> q
Result<std::vector<TensorType>> infer_quantize(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  if (node.wanted_quant.empty() || node.wanted_quant[0].scale.size() != 1 ||
      node.wanted_quant[0].zero_point.size() != 1 ||
      !std::isnormal(node.wanted_quant[0].scale[0]) ||
      node.wanted_quant[0].scale[0] < 0)
    return node.error("the output needs one positive scale");
  return std::vector<TensorType>{
      {.dtype = DType::kS8, .shape = node.shape(0), .quant = {}}};
}

Status lower_quantize(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const QuantParams& q = node.out(0).quant;
  ft_bfp_loss_params p{
      .rows = static_cast<int32_t>(node.shape(0).num_elements()),
      .classes = 1,
      .multiplier = 0,
      .shift = 0,
      .exponent = 0,
      .zero_point = q.zero_point[0]};
  set_unit(factor_of(node, 0) / static_cast<double>(q.scale[0]), p);
  lowered.set_params(p);
  return ok_status();
}

const TensorType kExp = exponent_type();

TensorType target_type(Shape shape) {
  TensorType t = s32(shape);
  t.quant = QuantParams::per_tensor(0.001f, 0);
  return t;
}

std::vector<OpExample> entropy_examples() {
  return {{.inputs = {bfp_type({3, 5}, 1.5f), kExp, s32({3})}},
          {.inputs = {bfp_type({1, 37}, 1), kExp, s32({1})}}};
}

std::vector<OpExample> softmax_examples() {
  return {{.inputs = {bfp_type({3, 5}, 1.5f), kExp}, .attrs = {{"beta", 0.5}}},
          {.inputs = {bfp_type({2, 2, 7}, 1), kExp}}};
}

std::vector<OpExample> mse_examples() {
  return {{.inputs = {bfp_type({3, 7}, 1.5f), kExp, target_type({3, 7})}}};
}

std::vector<OpExample> quantize_examples() {
  return {{.inputs = {bfp_type({3, 7}, 1.5f), kExp},
           .out_quant = quant_of_output(1.0f / 256, -128)}};
}

constexpr KernelDef kEntropyKernels[] = {{"ft_bfp_softmax_cross_entropy_c99",
                                          Isa::kC99, "s16->s32",
                                          &ft_bfp_softmax_cross_entropy_c99}};
constexpr KernelDef kEntropyGradKernels[] = {
    {"ft_bfp_softmax_cross_entropy_grad_c99", Isa::kC99, "s16->s16",
     &ft_bfp_softmax_cross_entropy_grad_c99}};
constexpr KernelDef kSoftmaxKernels[] = {
    {"ft_bfp_softmax_c99", Isa::kC99, "s16->s16", &ft_bfp_softmax_c99}};
constexpr KernelDef kMseKernels[] = {
    {"ft_bfp_mse_loss_c99", Isa::kC99, "s16->s32", &ft_bfp_mse_loss_c99}};
constexpr KernelDef kMseGradKernels[] = {{"ft_bfp_mse_loss_grad_c99", Isa::kC99,
                                          "s16->s16",
                                          &ft_bfp_mse_loss_grad_c99}};
constexpr KernelDef kQuantizeKernels[] = {
    {"ft_bfp_quantize_c99", Isa::kC99, "s16->s8", &ft_bfp_quantize_c99}};

}  // namespace

constinit const OpDef kBfpSoftmaxCrossEntropy = {
    .name = "bfp_softmax_cross_entropy",
    .cost_class = CostClass::kNonlinear,
    .min_inputs = 3,
    .max_inputs = 3,
    .infer = infer_entropy,
    .lower = lower_rows,
    .kernels = kEntropyKernels,
    .examples = entropy_examples};

constinit const OpDef kBfpSoftmaxCrossEntropyGrad = {
    .name = "bfp_softmax_cross_entropy_grad",
    .cost_class = CostClass::kNonlinear,
    .min_inputs = 3,
    .max_inputs = 3,
    .infer = infer_entropy_grad,
    .lower = lower_rows,
    .kernels = kEntropyGradKernels,
    .examples = entropy_examples};

constinit const OpDef kBfpSoftmax = {.name = "bfp_softmax",
                                     .cost_class = CostClass::kNonlinear,
                                     .min_inputs = 2,
                                     .max_inputs = 2,
                                     .infer = infer_softmax,
                                     .lower = lower_rows,
                                     .kernels = kSoftmaxKernels,
                                     .examples = softmax_examples};

constinit const OpDef kBfpMseLoss = {.name = "bfp_mse_loss",
                                     .cost_class = CostClass::kNonlinear,
                                     .min_inputs = 3,
                                     .max_inputs = 3,
                                     .infer = infer_mse,
                                     .lower = lower_mse,
                                     .kernels = kMseKernels,
                                     .examples = mse_examples};

constinit const OpDef kBfpMseLossGrad = {.name = "bfp_mse_loss_grad",
                                         .cost_class = CostClass::kNonlinear,
                                         .min_inputs = 3,
                                         .max_inputs = 3,
                                         .infer = infer_mse_grad,
                                         .lower = lower_mse,
                                         .kernels = kMseGradKernels,
                                         .examples = mse_examples};

constinit const OpDef kBfpQuantize = {.name = "bfp_quantize",
                                      .min_inputs = 2,
                                      .max_inputs = 2,
                                      .infer = infer_quantize,
                                      .lower = lower_quantize,
                                      .kernels = kQuantizeKernels,
                                      .examples = quantize_examples};

}  // namespace ft::ops
