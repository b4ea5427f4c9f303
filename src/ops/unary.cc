// Element-wise ops of one tensor and their gradients. Loops in kernels/unary/.
//
// Attributes: kind, alpha (leaky_relu: 0 by default, elu: 1), approximate
// (gelu: 1 for the tanh formula).
#include "kernels/unary/unary.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/unary_table.h"

namespace ft::ops {
namespace {

struct KindRow {
  std::string_view name;
  int32_t kind;
  bool saves_output;  // for the gradient
};
constexpr KindRow kKinds[] = {
    {"relu", FT_UNARY_RELU, true},
    {"relu6", FT_UNARY_RELU6, true},
    {"relu_n1", FT_UNARY_RELU_N1, true},
    {"leaky_relu", FT_UNARY_LEAKY_RELU, true},
    {"hard_swish", FT_UNARY_HARD_SWISH, false},
    {"logistic", FT_UNARY_LOGISTIC, true},
    {"tanh", FT_UNARY_TANH, true},
    {"gelu", FT_UNARY_GELU, false},
    {"exp", FT_UNARY_EXP, true},
    {"log", FT_UNARY_LOG, false},
    {"sqrt", FT_UNARY_SQRT, true},
    {"rsqrt", FT_UNARY_RSQRT, true},
    {"square", FT_UNARY_SQUARE, false},
    {"abs", FT_UNARY_ABS, false},
    {"neg", FT_UNARY_NEG, false},
    {"silu", FT_UNARY_SILU, false},
    {"elu", FT_UNARY_ELU, true},
};

const KindRow* find_kind(const Attrs& attrs) {
  const auto* at =
      std::ranges::find(kKinds, attrs.get_word("kind"), &KindRow::name);
  return at == std::end(kKinds) ? nullptr : at;
}

int32_t kind_of(const Attrs& attrs) {
  const int32_t kind = find_kind(attrs)->kind;
  return kind == FT_UNARY_GELU && attrs.get_int("approximate") != 0
             ? FT_UNARY_GELU_TANH
             : kind;
}

double alpha_of(const Attrs& attrs) {
  return attrs.get_real("alpha", kind_of(attrs) == FT_UNARY_ELU ? 1 : 0);
}

// The fused activation that is the same clamp; FT_ACT_NONE for other kinds.
int64_t act_of(int32_t kind) {
  switch (kind) {
    case FT_UNARY_RELU: return FT_ACT_RELU;
    case FT_UNARY_RELU6: return FT_ACT_RELU6;
    case FT_UNARY_RELU_N1: return FT_ACT_RELU_N1;
    default: return FT_ACT_NONE;
  }
}

Status check_kind(const NodeView& node) {
  if (find_kind(*node.attrs) == nullptr)
    return node.error(
        fmt::format("unknown kind '{}'", node.attrs->get_word("kind")));
  const double alpha = alpha_of(*node.attrs);
  if (alpha >= 0 && std::isfinite(alpha)) return ok_status();
  return node.error(fmt::format("alpha is {}, must not be negative", alpha));
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_kind(node));
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real_or_per_tensor(node, 0));
  const int32_t kind = kind_of(*node.attrs);
  if (node.in(0).dtype == DType::kS8) {
    FT_TRY_STATUS(check_wanted_quant(node));
    if (!has_int8_form(kind))
      return node.error(
          fmt::format("there is no int8 {}", node.attrs->get_word("kind")));
    if (kind == FT_UNARY_ELU && alpha_of(*node.attrs) != 1)
      return node.error("int8 elu must have alpha 1");
  }
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = node.shape(0), .quant = {}}};
}

ft_unary_params params_of(const NodeView& node) {
  return {.kind = kind_of(*node.attrs),
          .count = static_cast<int32_t>(node.shape(0).num_elements()),
          .alpha = static_cast<float>(alpha_of(*node.attrs)),
          .saved_scale = 1,
          .saved_zero_point = 0};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const ft_unary_params p = params_of(node);
  lowered.set_params(p);
  if (node.in(0).dtype != DType::kS8) return ok_status();
  auto table =
      unary_table(p.kind, p.alpha, node.in(0).quant, node.out(0).quant);
  if (!table.ok()) return node.error(table.status().message());
  lowered.add_aux<int8_t>(table.value());
  return ok_status();
}

void gradient(GradientBuilder& g) {
  const int32_t kind = kind_of(g.attrs());
  const bool saturates = g.type(g.output()).dtype == DType::kS8;
  ValueId dy = g.output_grad();
  // A clamp's gradient is that of the activation; an int8 one's includes it.
  if (act_of(kind) != FT_ACT_NONE || saturates)
    dy = g.emit(kActivationGrad, {dy, g.output()}, {{"act", act_of(kind)}});
  if (act_of(kind) != FT_ACT_NONE) return g.set_input_grad(0, dy);
  if (kind == FT_UNARY_NEG)
    return g.set_input_grad(0, g.emit(kUnary, {dy}, g.attrs()));
  const ValueId saved =
      find_kind(g.attrs())->saves_output ? g.output() : g.input(0);
  g.set_input_grad(0, g.emit(kUnaryGrad, {dy, saved}, g.attrs()));
}

Result<std::vector<TensorType>> infer_grad(const NodeView& node) {
  FT_TRY_STATUS(check_kind(node));
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY_STATUS(check_real_or_per_tensor(node, 1));
  FT_TRY_STATUS(check_same_shape(node, 0, 1));
  if (node.in(1).dtype != DType::kS8)
    FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  const int32_t kind = kind_of(*node.attrs);
  if (act_of(kind) != FT_ACT_NONE || kind == FT_UNARY_NEG)
    return node.error(fmt::format("the gradient of {} is another op's",
                                  node.attrs->get_word("kind")));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = node.shape(0), .quant = {}}};
}

Status lower_grad(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  ft_unary_params p = params_of(node);
  if (node.in(1).dtype == DType::kS8) {
    p.saved_scale = node.in(1).quant.scale[0];
    p.saved_zero_point = node.in(1).quant.zero_point[0];
  }
  lowered.set_params(p);
  return ok_status();
}

bool needs_positive(int32_t kind) {
  return kind == FT_UNARY_LOG || kind == FT_UNARY_SQRT ||
         kind == FT_UNARY_RSQRT;
}

// Attributes of every kind, gelu in both forms.
std::vector<Attrs> all_kinds() {
  std::vector<Attrs> all{{{"kind", "gelu"}, {"approximate", 1}}};
  for (const KindRow& row : kKinds) {
    Attrs attrs{{"kind", std::string(row.name)}};
    if (row.kind == FT_UNARY_LEAKY_RELU) attrs.set("alpha", 0.25);
    all.push_back(attrs);
  }
  return all;
}

std::vector<OpExample> examples() {
  std::vector<OpExample> all;
  for (const Attrs& attrs : all_kinds()) {
    const bool positive = needs_positive(kind_of(attrs));
    const std::string note = attrs.get_word("kind");
    all.push_back({.inputs = {f32({3, 7, 2})},
                   .attrs = attrs,
                   .low = positive ? 0.2f : -4.0f,
                   .high = 4,
                   .note = note});
    if (has_int8_form(kind_of(attrs)))
      all.push_back({.inputs = {s8({5, 51}, 0.04f, -9)},
                     .attrs = attrs,
                     .out_quant = {QuantParams::per_tensor(0.05f, 3)},
                     .note = note});
  }
  return all;
}

std::vector<OpExample> grad_examples() {
  std::vector<OpExample> all;
  for (const Attrs& attrs : all_kinds()) {
    const int32_t kind = kind_of(attrs);
    if (act_of(kind) != FT_ACT_NONE || kind == FT_UNARY_NEG) continue;
    all.push_back({.inputs = {f32({3, 37}), f32({3, 37})},
                   .attrs = attrs,
                   .low = needs_positive(kind) ? 0.2f : -1.0f});
    if (has_int8_form(kind))
      all.push_back(
          {.inputs = {f32({3, 37}), s8({3, 37}, 0.02f, 5)}, .attrs = attrs});
  }
  return all;
}

bool accepts_hwy(const LowerContext&, const Lowered& lowered) {
  return ft_unary_f32_hwy_accepts(&lowered.params_as<ft_unary_params>()) != 0;
}

constexpr KernelDef kKernels[] = {
    {"ft_unary_f32_hwy", Isa::kHighway, "f32->f32", &ft_unary_f32_hwy,
     accepts_hwy},
    {"ft_unary_f32_c99", Isa::kC99, "f32->f32", &ft_unary_f32_c99},
    {"ft_unary_f64_c99", Isa::kC99, "f64->f64", &ft_unary_f64_c99},
    {"ft_unary_s8_c99", Isa::kC99, "s8->s8", &ft_unary_s8_c99},
};

constexpr KernelDef kGradKernels[] = {
    {"ft_unary_grad_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_unary_grad_f32_c99},
    {"ft_unary_grad_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_unary_grad_f64_c99},
    {"ft_unary_grad_f32s8_c99", Isa::kC99, "f32,s8->f32",
     &ft_unary_grad_f32s8_c99},
};

}  // namespace

constinit const OpDef kUnary = {.name = "unary",
                                .cost_class = CostClass::kNonlinear,
                                .infer = infer,
                                .gradient = gradient,
                                .lower = lower,
                                .kernels = kKernels,
                                .inplace_input = 0,
                                .examples = examples};

constinit const OpDef kUnaryGrad = {.name = "unary_grad",
                                    .cost_class = CostClass::kNonlinear,
                                    .min_inputs = 2,
                                    .max_inputs = 2,
                                    .infer = infer_grad,
                                    .lower = lower_grad,
                                    .kernels = kGradKernels,
                                    .signature_inputs = 2,
                                    .inplace_input = 0,
                                    .examples = grad_examples};

}  // namespace ft::ops
