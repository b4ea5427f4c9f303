// Softmax and log-softmax along the last axis, and their gradients.
#include "kernels/softmax/softmax.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/quantize_multiplier.h"

namespace ft::ops {
namespace {

// int8 results have the one quantizer that the specification allows.
const QuantParams kSoftmaxQuant = QuantParams::per_tensor(1.0f / 256, -128);
const QuantParams kLogSoftmaxQuant = QuantParams::per_tensor(1.0f / 16, 127);

bool is_log(const NodeView& node) {
  return node.op == &kLogSoftmax || node.op == &kLogSoftmaxGrad;
}

Status check_rows(const NodeView& node) {
  const Shape& x = node.shape(0);
  FT_TRY_STATUS(check_inputs_indexable(node));
  if (x.rank() < 1 || x.num_elements() == 0)
    return node.error(fmt::format("no rows in {}", x.to_string()));
  const double beta = node.attrs->get_real("beta", 1);
  if (!(beta > 0 && std::isfinite(beta)))
    return node.error(fmt::format("beta is {}, must be positive", beta));
  return ok_status();
}

// 2^26 beta scale, the factor from units of an int8 x to Q5.26.
double q26_factor(const NodeView& node) {
  const double beta = static_cast<float>(node.attrs->get_real("beta", 1));
  const double scale = static_cast<double>(node.in(0).quant.scale[0]);
  return std::min(beta * scale * (1 << 26), 2147483647.0);
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_rows(node));
  FT_TRY_STATUS(check_real_or_per_tensor(node, 0));
  TensorType y{.dtype = node.in(0).dtype, .shape = node.shape(0), .quant = {}};
  if (y.dtype != DType::kS8) return std::vector<TensorType>{y};
  y.quant = is_log(node) ? kLogSoftmaxQuant : kSoftmaxQuant;
  if (!node.wanted_quant.empty() && !node.wanted_quant[0].empty() &&
      node.wanted_quant[0] != y.quant)
    return node.error(fmt::format(
        "the int8 output must have scale {} and zero point {}, not {} and {}",
        y.quant.scale[0], y.quant.zero_point[0], node.wanted_quant[0].scale[0],
        fmt::join(node.wanted_quant[0].zero_point, ",")));
  // The sum of exponentials is a Q12.19 number.
  if (node.shape(0).back() > 4096)
    return node.error(fmt::format("int8 rows may have 4096 elements, not {}",
                                  node.shape(0).back()));
  if (q26_factor(node) <= 1)
    return node.error(fmt::format("the input scale {} is too small",
                                  node.in(0).quant.scale[0]));
  return std::vector<TensorType>{y};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape& x = node.shape(0);
  ft_softmax_params p{};
  p.cols = static_cast<int32_t>(x.back());
  p.rows = static_cast<int32_t>(x.num_elements() / x.back());
  p.beta = static_cast<float>(node.attrs->get_real("beta", 1));
  if (node.in(0).dtype == DType::kS8) {
    const QuantizedMultiplier q = quantize_multiplier(q26_factor(node));
    p.multiplier = q.multiplier;
    p.shift = q.shift;
    // Below this the product would leave Q5.26.
    p.diff_min =
        -static_cast<int32_t>(std::floor(std::ldexp(31.0, 26 - q.shift)));
    const QuantizedMultiplier reverse = quantize_multiplier(
        std::ldexp(1.0, 31 - q.shift) / static_cast<double>(q.multiplier));
    p.reverse_multiplier = reverse.multiplier;
    p.reverse_shift = reverse.shift;
  }
  lowered.set_params(p);
  return ok_status();
}

void gradient(GradientBuilder& g) {
  g.set_input_grad(
      0, g.emit(kSoftmaxGrad, {g.output_grad(), emit_real(g, g.output())},
                {{"beta", g.attrs().get_real("beta", 1)}}));
}

void log_gradient(GradientBuilder& g) {
  g.set_input_grad(
      0, g.emit(kLogSoftmaxGrad, {g.output_grad(), emit_real(g, g.output())}));
}

Result<std::vector<TensorType>> infer_grad(const NodeView& node) {
  FT_TRY_STATUS(check_rows(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  FT_TRY_STATUS(check_same_shape(node, 0, 1));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = node.shape(0), .quant = {}}};
}

std::vector<OpExample> examples() {
  return {{.inputs = {f32({3, 7})}, .low = -4, .high = 4},
          {.inputs = {f32({2, 2, 5})}, .attrs = {{"beta", 0.5}}},
          {.inputs = {f32({2, 37})}, .low = -20, .high = 20},
          {.inputs = {s8({3, 12}, 0.1f, 5)}},
          {.inputs = {s8({4, 10}, 0.01f, -128)}, .attrs = {{"beta", 2.0}}}};
}

std::vector<OpExample> log_examples() {
  return {{.inputs = {f32({3, 7})}, .low = -4, .high = 4},
          {.inputs = {f32({2, 2, 37})}, .low = -20, .high = 20},
          {.inputs = {s8({3, 12}, 0.1f, 5)}}};
}

std::vector<OpExample> grad_examples() {
  return {{.inputs = {f32({3, 7}), f32({3, 7})}},
          {.inputs = {f32({2, 37}), f32({2, 37})}}};
}

constexpr KernelDef kKernels[] = {
    {"ft_softmax_f32_hwy", Isa::kHighway, "f32->f32", &ft_softmax_f32_hwy},
    {"ft_softmax_f32_c99", Isa::kC99, "f32->f32", &ft_softmax_f32_c99},
    {"ft_softmax_f64_c99", Isa::kC99, "f64->f64", &ft_softmax_f64_c99},
    {"ft_softmax_s8_c99", Isa::kC99, "s8->s8", &ft_softmax_s8_c99},
};
constexpr KernelDef kGradKernels[] = {
    {"ft_softmax_grad_f32_c99", Isa::kC99, "f32->f32",
     &ft_softmax_grad_f32_c99},
    {"ft_softmax_grad_f64_c99", Isa::kC99, "f64->f64",
     &ft_softmax_grad_f64_c99},
};
constexpr KernelDef kLogKernels[] = {
    {"ft_log_softmax_f32_c99", Isa::kC99, "f32->f32", &ft_log_softmax_f32_c99},
    {"ft_log_softmax_f64_c99", Isa::kC99, "f64->f64", &ft_log_softmax_f64_c99},
    {"ft_log_softmax_s8_c99", Isa::kC99, "s8->s8", &ft_log_softmax_s8_c99},
};
constexpr KernelDef kLogGradKernels[] = {
    {"ft_log_softmax_grad_f32_c99", Isa::kC99, "f32->f32",
     &ft_log_softmax_grad_f32_c99},
    {"ft_log_softmax_grad_f64_c99", Isa::kC99, "f64->f64",
     &ft_log_softmax_grad_f64_c99},
};

}  // namespace

constinit const OpDef kSoftmax = {.name = "softmax",
                                  .cost_class = CostClass::kNonlinear,
                                  .infer = infer,
                                  .gradient = gradient,
                                  .lower = lower,
                                  .kernels = kKernels,
                                  .inplace_input = 0,
                                  .examples = examples};

constinit const OpDef kSoftmaxGrad = {.name = "softmax_grad",
                                      .cost_class = CostClass::kNonlinear,
                                      .min_inputs = 2,
                                      .max_inputs = 2,
                                      .infer = infer_grad,
                                      .lower = lower,
                                      .kernels = kGradKernels,
                                      .inplace_input = 0,
                                      .examples = grad_examples};

constinit const OpDef kLogSoftmax = {.name = "log_softmax",
                                     .cost_class = CostClass::kNonlinear,
                                     .infer = infer,
                                     .gradient = log_gradient,
                                     .lower = lower,
                                     .kernels = kLogKernels,
                                     .inplace_input = 0,
                                     .examples = log_examples};

constinit const OpDef kLogSoftmaxGrad = {.name = "log_softmax_grad",
                                         .cost_class = CostClass::kNonlinear,
                                         .min_inputs = 2,
                                         .max_inputs = 2,
                                         .infer = infer_grad,
                                         .lower = lower,
                                         .kernels = kLogGradKernels,
                                         .inplace_input = 0,
                                         .examples = grad_examples};

}  // namespace ft::ops
