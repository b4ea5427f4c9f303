// Fake quantization: values rounded to what a quantizer can store, with
// straight-through gradients, so that training sees what the file will hold.
//
// Attrs of the integer ops: `row`, `block` and `groups` say which elements
// share a step (kernels/fake_quantize/fake_quantize.h), `qmin` and `qmax` the
// integers there are. `saturates` 0 promises that no element lies outside (its
// step comes from minmax_quantizer): the gradient then passes as it is.

#include "kernels/fake_quantize/fake_quantize.h"

#include <cmath>

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/example_types.h"
#include "ops/gradient.h"

namespace ft::ops {
namespace {

// The integers of 16 bits at most, which float32 holds with room to round.
constexpr int64_t kLargest = 65536;

struct Runs {
  int64_t count, row, block, groups, qmin, qmax;
};

Runs runs_of(const NodeView& node, size_t x) {
  const Attrs& a = *node.attrs;
  return {node.shape(x).num_elements(), a.get_int("row"),  a.get_int("block"),
          a.get_int("groups"),          a.get_int("qmin"), a.get_int("qmax")};
}

Status check_runs(const NodeView& node, size_t x) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, x));
  const Runs r = runs_of(node, x);
  if (r.count < 1) return node.error("there are no values");
  if (r.row < 1 || r.block < 1 || r.block > r.row || r.groups < 1 ||
      r.count % r.row != 0)
    return node.error(
        fmt::format("{} values do not divide into rows of {}, blocks of {} and "
                    "{} groups",
                    r.count, r.row, r.block, r.groups));
  const int64_t runs = r.count / r.row * ((r.row + r.block - 1) / r.block);
  if (runs % r.groups != 0)
    return node.error(
        fmt::format("{} blocks do not divide into {} groups", runs, r.groups));
  if (r.qmin < -kLargest || r.qmax > kLargest || r.qmin >= r.qmax ||
      r.qmin > 0 || r.qmax < 1)
    return node.error(fmt::format("the integers from {} to {} are no quantizer",
                                  r.qmin, r.qmax));
  return ok_status();
}

// Step and optional zero point, from input `i` on: one of each group.
Status check_steps(const NodeView& node, size_t x, size_t i) {
  const Runs r = runs_of(node, x);
  for (size_t k = i; k < i + 2; ++k) {
    if (!node.has(k)) continue;
    FT_TRY_STATUS(check_same_dtype(node, x, k));
    if (node.shape(k) == Shape{r.groups}) continue;
    return node.error(fmt::format("input {} has shape {}, expected [{}]", k,
                                  node.shape(k).to_string(), r.groups));
  }
  return ok_status();
}

bool is_symmetric(const NodeView& node) {
  return node.attrs->get_int("symmetric", 1) != 0;
}

Status lower_runs(const LowerContext& context, Lowered& lowered, size_t x) {
  const Runs r = runs_of(context.view, x);
  lowered.set_params(ft_fake_quantize_params{
      .count = static_cast<int32_t>(r.count),
      .row = static_cast<int32_t>(r.row),
      .block = static_cast<int32_t>(r.block),
      .groups = static_cast<int32_t>(r.groups),
      .qmin = static_cast<int32_t>(r.qmin),
      .qmax = static_cast<int32_t>(r.qmax),
      .symmetric = is_symmetric(context.view),
      .grad_scale =
          static_cast<float>(context.view.attrs->get_real("grad_scale", 1))});
  return ok_status();
}

TensorType like(const NodeView& node, size_t i) {
  return {.dtype = node.in(i).dtype, .shape = node.shape(i), .quant = {}};
}

Result<std::vector<TensorType>> infer_minmax(const NodeView& node) {
  FT_TRY_STATUS(check_runs(node, 0));
  FT_TRY_STATUS(check_steps(node, 0, 1));
  if (is_symmetric(node) && node.has(2))
    return node.error("a symmetric quantizer has no zero point to shift");
  const TensorType steps{.dtype = node.in(0).dtype,
                         .shape = {node.attrs->get_int("groups")},
                         .quant = {}};
  return std::vector<TensorType>(is_symmetric(node) ? 1 : 2, steps);
}

// The range follows the values, but no gradient follows it back to them; what
// is learned is the ratio to it and the shift against it.
void gradient_minmax(GradientBuilder& g) {
  const ValueId dscale = g.output_grad(0);
  if (g.input(1) != kNone && g.needs_grad(1) && dscale != kNone)
    g.set_input_grad(1,
                     g.emit(kBinary, {dscale, g.output(0)}, {{"kind", "mul"}}));
  if (g.input(2) == kNone || !g.needs_grad(2)) return;
  const ValueId dzero = g.output_grad(1);
  if (dzero == kNone) return;
  const auto span = static_cast<double>(g.attrs().get_int("qmax") -
                                        g.attrs().get_int("qmin"));
  g.set_input_grad(2,
                   g.emit(kBroadcastTo, {dzero},
                          {{"shape", std::vector<int64_t>{g.shape(dzero)[0]}},
                           {"scale", span}}));
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_runs(node, 0));
  FT_TRY_STATUS(check_steps(node, 0, 1));
  return std::vector<TensorType>{like(node, 0)};
}

Result<std::vector<TensorType>> infer_grad(const NodeView& node) {
  FT_TRY_STATUS(check_runs(node, 1));
  FT_TRY_STATUS(check_same_shape(node, 0, 1));
  FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  FT_TRY_STATUS(check_steps(node, 1, 2));
  return std::vector<TensorType>{like(node, 0)};
}

Result<std::vector<TensorType>> infer_step_grad(const NodeView& node) {
  FT_TRY(const auto ignored, infer_grad(node));
  const double scale = node.attrs->get_real("grad_scale", 1);
  if (!(scale > 0 && scale < 1e30))
    return node.error(fmt::format("grad_scale is {}", scale));
  std::vector<TensorType> types{like(node, 2)};
  if (node.has(3)) types.push_back(like(node, 3));
  return types;
}

void gradient(GradientBuilder& g) {
  const ValueId x = g.input(0), scale = g.input(1), zero = g.input(2);
  const bool saturates = g.attrs().get_int("saturates", 1) != 0;
  if (g.needs_grad(0))
    g.set_input_grad(
        0, saturates ? g.emit(kFakeQuantizeGrad,
                              {g.output_grad(), x, scale, zero}, g.attrs())
                     : g.output_grad());
  const bool zero_needs = zero != kNone && g.needs_grad(2);
  if (!g.needs_grad(1) && !zero_needs) return;
  const auto steps = g.emit_all(kFakeQuantizeStepGrad,
                                {g.output_grad(), x, scale, zero}, g.attrs());
  if (steps.empty()) return;
  if (g.needs_grad(1)) g.set_input_grad(1, steps[0]);
  if (zero_needs) g.set_input_grad(2, steps[1]);
}

int32_t format_of(const NodeView& node) {
  const std::string to = node.attrs->get_word("to");
  return to == "float16"    ? FT_ROUND_FLOAT16
         : to == "bfloat16" ? FT_ROUND_BFLOAT16
                            : kNone;
}

Result<std::vector<TensorType>> infer_round(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  if (format_of(node) == kNone)
    return node.error(
        fmt::format("cannot round to '{}'", node.attrs->get_word("to")));
  return std::vector<TensorType>{like(node, 0)};
}

void gradient_round(GradientBuilder& g) {
  if (g.needs_grad(0)) g.set_input_grad(0, g.output_grad());
}

Status lower_round(const LowerContext& context, Lowered& lowered) {
  lowered.set_params(ft_round_float_params{
      .count = static_cast<int32_t>(context.view.shape(0).num_elements()),
      .format = format_of(context.view)});
  return ok_status();
}

Status lower(const LowerContext& context, Lowered& lowered) {
  return lower_runs(context, lowered, 0);
}
Status lower_grad(const LowerContext& context, Lowered& lowered) {
  return lower_runs(context, lowered, 1);
}

Attrs runs(int64_t row, int64_t block, int64_t groups, int64_t qmin,
           int64_t qmax) {
  return {{"row", row},
          {"block", block},
          {"groups", groups},
          {"qmin", qmin},
          {"qmax", qmax}};
}

// Per tensor, per channel of axis 1, and per block with a short last one;
// `front` inputs come before x.
std::vector<OpExample> with_steps(std::vector<TensorType> front) {
  const auto example = [&](Shape x, Attrs attrs, bool zero_point) {
    const Shape steps{attrs.get_int("groups")};
    OpExample e{.inputs = front, .attrs = std::move(attrs), .low = 0.05f};
    for (TensorType& type : e.inputs) type.shape = x;
    e.inputs.push_back(f32(x));
    e.inputs.push_back(f32(steps));
    if (zero_point) e.inputs.push_back(f32(steps));
    return e;
  };
  return {example({3, 7}, runs(21, 21, 1, -7, 7), false),
          example({2, 3, 5}, runs(5, 5, 3, -127, 127), false),
          example({4, 9}, runs(9, 4, 12, -8, 7), true),
          example({300}, runs(300, 300, 1, -2, 1), true)};
}

std::vector<OpExample> examples() { return with_steps({}); }
std::vector<OpExample> grad_examples() { return with_steps({f32({1})}); }

std::vector<OpExample> minmax_examples() {
  Attrs asymmetric = runs(5, 5, 3, -128, 127);
  asymmetric.set("symmetric", int64_t{0});
  return {
      {.inputs = {f32({3, 7})}, .attrs = runs(21, 21, 1, -7, 7)},
      {.inputs = {f32({4, 9}), f32({12})}, .attrs = runs(9, 4, 12, -127, 127)},
      {.inputs = {f32({2, 3, 5}), f32({3}), f32({3})}, .attrs = asymmetric}};
}

std::vector<OpExample> round_examples() {
  return {{.inputs = {f32({3, 7})}, .attrs = {{"to", "float16"}}},
          {.inputs = {f32({33})},
           .attrs = {{"to", "bfloat16"}},
           .low = -1e5f,
           .high = 1e5f}};
}

constexpr KernelDef kMinmaxKernels[] = {
    {"ft_minmax_quantizer_f32_c99", Isa::kC99, "f32->f32",
     &ft_minmax_quantizer_f32_c99},
    {"ft_minmax_quantizer_f64_c99", Isa::kC99, "f64->f64",
     &ft_minmax_quantizer_f64_c99},
};
constexpr KernelDef kKernels[] = {
    {"ft_fake_quantize_f32_c99", Isa::kC99, "f32->f32",
     &ft_fake_quantize_f32_c99},
    {"ft_fake_quantize_f64_c99", Isa::kC99, "f64->f64",
     &ft_fake_quantize_f64_c99},
};
constexpr KernelDef kGradKernels[] = {
    {"ft_fake_quantize_grad_f32_c99", Isa::kC99, "f32->f32",
     &ft_fake_quantize_grad_f32_c99},
    {"ft_fake_quantize_grad_f64_c99", Isa::kC99, "f64->f64",
     &ft_fake_quantize_grad_f64_c99},
};
constexpr KernelDef kStepGradKernels[] = {
    {"ft_fake_quantize_step_grad_f32_c99", Isa::kC99, "f32->f32",
     &ft_fake_quantize_step_grad_f32_c99},
    {"ft_fake_quantize_step_grad_f64_c99", Isa::kC99, "f64->f64",
     &ft_fake_quantize_step_grad_f64_c99},
};
constexpr KernelDef kRoundKernels[] = {
    {"ft_round_float_f32_c99", Isa::kC99, "f32->f32", &ft_round_float_f32_c99},
    {"ft_round_float_f64_c99", Isa::kC99, "f64->f64", &ft_round_float_f64_c99},
};

}  // namespace

// x, log_ratio, shift (both optional) -> scale, zero_point (not symmetric)
constinit const OpDef kMinmaxQuantizer = {.name = "minmax_quantizer",
                                          .cost_class = CostClass::kReduction,
                                          .max_inputs = 3,
                                          .infer = infer_minmax,
                                          .gradient = gradient_minmax,
                                          .lower = lower,
                                          .kernels = kMinmaxKernels,
                                          .examples = minmax_examples};

// x, scale, zero_point (optional) -> y
constinit const OpDef kFakeQuantize = {.name = "fake_quantize",
                                       .min_inputs = 2,
                                       .max_inputs = 3,
                                       .infer = infer,
                                       .gradient = gradient,
                                       .lower = lower,
                                       .kernels = kKernels,
                                       .examples = examples};

// dy, x, scale, zero_point (optional) -> dx
constinit const OpDef kFakeQuantizeGrad = {.name = "fake_quantize_grad",
                                           .min_inputs = 3,
                                           .max_inputs = 4,
                                           .infer = infer_grad,
                                           .lower = lower_grad,
                                           .kernels = kGradKernels,
                                           .inplace_input = 0,
                                           .examples = grad_examples};

// dy, x, scale, zero_point (optional) -> dscale, dzero_point (if given)
constinit const OpDef kFakeQuantizeStepGrad = {
    .name = "fake_quantize_step_grad",
    .min_inputs = 3,
    .max_inputs = 4,
    .infer = infer_step_grad,
    .lower = lower_grad,
    .kernels = kStepGradKernels,
    .examples = grad_examples};

// x -> y
constinit const OpDef kRoundFloat = {.name = "round_float",
                                     .infer = infer_round,
                                     .gradient = gradient_round,
                                     .lower = lower_round,
                                     .kernels = kRoundKernels,
                                     .inplace_input = 0,
                                     .examples = round_examples};

}  // namespace ft::ops
