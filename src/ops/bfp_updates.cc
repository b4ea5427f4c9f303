// Parameter updates in integers, in place. The loops live in
// kernels/bfp_updates/, which says what the inputs hold.
//
// A gradient may hold a few entries only (top_gradient): then the last input
// gives their positions. Attributes: those of sgd_update and adamw_update, and
// `stream`, the name of the parameter's random numbers.
#include "kernels/bfp_updates/bfp_updates.h"

#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/division.h"
#include "ops/example_types.h"
#include "ops/outer_updates.h"
#include "ops/top_gradient.h"

namespace ft::ops {
namespace {

// The parameter counts in units, or the gradient has one for each value.
bool has_units(const NodeView& node) {
  return node.in(0).quant.is_per_channel() || factor_of(node, 0) != 1 ||
         node.in(2).quant.is_per_channel();
}

// hyper, residual and states up to input `end`, and the attributes.
Status check_settings(const NodeView& node, size_t end) {
  FT_TRY_STATUS(check_bfp_hyper(node, 4));
  for (size_t i = 5; i < std::min(node.num_inputs(), end); ++i) {
    if (!node.has(i)) continue;
    FT_TRY_STATUS(check_same_shape(node, 0, i));
    if (node.in(i).dtype != DType::kS16)
      return node.error(fmt::format("state {} is {}, needs int16", i,
                                    node.in(i).to_string()));
  }
  for (const char* name : {"momentum", "weight_decay", "beta1", "beta2", "eps"})
    if (const double v = node.attrs->get_real(name, 0); !(v >= 0 && v < 1e6))
      return node.error(fmt::format("{} is {}", name, v));
  return ok_status();
}

// param, param_exp, grad, grad_exp, hyper, residual, states, positions
Result<std::vector<TensorType>> infer(const NodeView& node, size_t positions) {
  FT_TRY_STATUS(check_bfp_units(node, 0, 1));
  FT_TRY_STATUS(check_bfp_units(node, 2, 3));
  FT_TRY_STATUS(check_gradient(node, 2, positions));
  if (node.has(positions) && node.in(2).quant.is_per_channel())
    return node.error("a gradient of a few entries has one factor");
  FT_TRY_STATUS(check_settings(node, positions));
  return std::vector<TensorType>{};
}

Result<std::vector<TensorType>> infer_sgd(const NodeView& node) {
  if (!node.has(6) && node.attrs->get_real("momentum") != 0)
    return node.error("momentum needs a state");
  return infer(node, 7);
}

Result<std::vector<TensorType>> infer_adamw(const NodeView& node) {
  return infer(node, 8);
}

void set_number(double real, int32_t (&pair)[2]) {
  const FixedFactor f = fixed_factor(real);
  pair[0] = f.multiplier;
  pair[1] = f.exponent;
}

// Of the gradient, of the parameter, and of what that divides by.
void add_units(const NodeView& node, Lowered& lowered) {
  const auto count = static_cast<size_t>(node.shape(0).num_elements());
  const auto add = [&](const std::vector<float>& scales, bool inverse) {
    std::vector<int32_t> pairs;
    for (size_t i = 0; i < count; ++i) {
      const auto scale = static_cast<double>(scales[scales.size() > 1 ? i : 0]);
      int32_t pair[2];
      set_number(inverse ? 1 / scale : scale, pair);
      pairs.insert(pairs.end(), std::begin(pair), std::end(pair));
    }
    lowered.add_aux<int32_t>(pairs);
  };
  add(node.in(2).quant.scale, false);
  add(node.in(0).quant.scale, false);
  add(node.in(0).quant.scale, true);
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Attrs& attrs = *node.attrs;
  ft_bfp_update_params p{};
  p.count = static_cast<int32_t>(node.shape(0).num_elements());
  p.kept = static_cast<int32_t>(node.shape(2).num_elements());
  const uint64_t stream = static_cast<uint64_t>(attrs.get_int("stream"));
  p.stream_low = static_cast<int32_t>(static_cast<uint32_t>(stream));
  p.stream_high = static_cast<int32_t>(static_cast<uint32_t>(stream >> 32));
  p.has_units = has_units(node);
  set_number(p.has_units != 0 ? 1 : factor_of(node, 2), p.grad_factor);
  set_number(attrs.get_real("weight_decay"), p.weight_decay);
  set_number(1 - attrs.get_real("beta1", 0.9), p.one_minus_beta1);
  set_number(1 - attrs.get_real("beta2", 0.999), p.one_minus_beta2);
  set_number(attrs.get_real("eps", 1e-8), p.eps);
  set_number(attrs.get_real("momentum"), p.momentum);
  p.nesterov = attrs.get_i("nesterov") != 0;
  lowered.set_params(p);
  if (p.has_units != 0) add_units(node, lowered);
  return ok_status();
}

// The inputs of an outer product begin at `x`; states stand before it.
Result<std::vector<TensorType>> infer_outer(const NodeView& node, size_t x) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  FT_TRY_STATUS(check_bfp(node, 2, 3));
  if (!node.has(x)) return node.error("x is absent");
  FT_TRY_STATUS(check_operand(node, x, x + 1));
  FT_TRY_STATUS(check_state(node, x + 2));
  const Shape& w = node.shape(0);
  const int64_t rows = node.shape(2).num_elements();
  if (w.rank() < 1 || rows < 1 || w[0] != rows ||
      w.num_elements() != rows * node.shape(x).num_elements())
    return node.error(fmt::format("a parameter {} for {} times {} values",
                                  w.to_string(), rows,
                                  node.shape(x).num_elements()));
  if (has_units(node)) return node.error("the parameter counts in units");
  FT_TRY_STATUS(check_settings(node, x));
  return std::vector<TensorType>{};
}

Result<std::vector<TensorType>> infer_outer_sgd(const NodeView& node) {
  if (!node.has(6) && node.attrs->get_real("momentum") != 0)
    return node.error("momentum needs a state");
  return infer_outer(node, 7);
}

Result<std::vector<TensorType>> infer_outer_adamw(const NodeView& node) {
  return infer_outer(node, 8);
}

// As lower_pair() of the gradient's op, and a row of it as scratch.
template <size_t x>
Status lower_outer(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  FT_TRY_STATUS(lower(context, lowered));
  ft_bfp_update_params p = lowered.params_as<ft_bfp_update_params>();
  const SplitFactor split =
      split_factor(factor_of(node, x) * factor_of(node, 2));
  set_number(static_cast<double>(split.factor), p.grad_factor);
  p.exponent = split.exponent;
  p.cols = static_cast<int32_t>(node.shape(x).num_elements());
  p.x_is_s8 = node.in(x).dtype == DType::kS8;
  if (p.x_is_s8 != 0) p.x_zero_point = node.in(x).quant.zero_point[0];
  lowered.set_params(p);
  lowered.scratch_bytes = static_cast<size_t>(p.cols) * sizeof(int16_t);
  return ok_status();
}

int64_t macs_outer(const NodeView& node) {
  return 2 * node.shape(0).num_elements();
}

int64_t macs(const NodeView& node) { return node.shape(2).num_elements(); }

TensorType s16(Shape shape) {
  return {.dtype = DType::kS16, .shape = shape, .quant = {}};
}

std::vector<TensorType> common_inputs(Shape shape) {
  const TensorType e = exponent_type();
  return {bfp_type(shape, 1),  e,         bfp_type(shape, 1.5f), e,
          s32({FT_BFP_HYPER}), s16(shape)};
}

std::vector<OpExample> adamw_examples() {
  OpExample plain{.inputs = common_inputs({5, 7})};
  plain.inputs.insert(plain.inputs.end(), 2, s16({5, 7}));
  OpExample decayed = plain;
  decayed.attrs = {
      {"beta1", 0.8}, {"beta2", 0.99}, {"weight_decay", 0.01}, {"stream", 77}};
  OpExample units = decayed;
  for (TensorType& type : units.inputs)
    if (type.shape == Shape{5, 7}) type.shape = {3};
  units.inputs[0] = with_units(units.inputs[0], {0.5f, 3, 0.07f});
  units.inputs[2] = with_units(units.inputs[2], {2, 0.4f, 11});
  units.note = "units";
  OpExample few = decayed;
  few.inputs[2] = bfp_type({6}, 1.5f);
  few.inputs.push_back(s32({6}));
  return {plain, decayed, units, few};
}

std::vector<OpExample> sgd_examples() {
  OpExample plain{.inputs = common_inputs({5, 7})};
  OpExample heavy = plain;
  heavy.inputs.push_back(s16({5, 7}));
  heavy.attrs = {{"momentum", 0.9}, {"weight_decay", 0.01}, {"nesterov", 1}};
  OpExample few = heavy;
  few.inputs[2] = bfp_type({6}, 1.5f);
  few.inputs.push_back(s32({6}));
  return {plain, heavy, few};
}

std::vector<TensorType> outer_inputs(int states, TensorType x) {
  const TensorType e = exponent_type(), w = bfp_type({5, 7}, 1);
  std::vector<TensorType> inputs = common_inputs({5, 7});
  inputs[2] = bfp_type({5}, 1.5f);
  inputs.insert(inputs.end(), static_cast<size_t>(states), s16({5, 7}));
  inputs.insert(inputs.end(), {x, e, e});
  return inputs;
}

std::vector<OpExample> outer_sgd_examples() {
  const TensorType wide = bfp_type({7}, 1.25f);
  return {{.inputs = outer_inputs(1, s8({7}, 0.04f, -9)), .absent = {6, 8}},
          {.inputs = outer_inputs(1, wide),
           .attrs = {{"momentum", 0.9},
                     {"weight_decay", 0.01},
                     {"nesterov", 1},
                     {"stream", 77}}}};
}

std::vector<OpExample> outer_adamw_examples() {
  return {{.inputs = outer_inputs(2, s8({7}, 0.04f, -9)),
           .attrs = {{"weight_decay", 0.01}, {"stream", 77}},
           .absent = {9}},
          {.inputs = outer_inputs(2, bfp_type({7}, 1.25f))}};
}

constexpr KernelDef kOuterAdamwKernels[] = {{"ft_bfp_outer_adamw_update_c99",
                                             Isa::kC99, "s16->",
                                             &ft_bfp_outer_adamw_update_c99}};
constexpr KernelDef kOuterSgdKernels[] = {{"ft_bfp_outer_sgd_update_c99",
                                           Isa::kC99, "s16->",
                                           &ft_bfp_outer_sgd_update_c99}};
constexpr KernelDef kAdamwKernels[] = {
    {"ft_bfp_adamw_update_c99", Isa::kC99, "s16->", &ft_bfp_adamw_update_c99}};
constexpr KernelDef kSgdKernels[] = {
    {"ft_bfp_sgd_update_c99", Isa::kC99, "s16->", &ft_bfp_sgd_update_c99}};

constexpr uint32_t kSgdWritten = 1u << 0 | 1u << 1 | 1u << 5 | 1u << 6;
constexpr uint32_t kAdamwWritten = kSgdWritten | 1u << 7;

// `positions`: the input that may name the values.
template <size_t positions>
Division divide_values(const KernelDef& /*row*/, const NodeView& node,
                       const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_update_params>();
  return in_units(node.has(positions) ? p.kept : p.count);
}

Division divide_rows(const KernelDef& /*row*/, const NodeView& /*node*/,
                     const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_update_params>();
  return in_units(p.cols > 0 ? p.count / p.cols : 0);
}

}  // namespace

constinit const OpDef kBfpAdamwUpdate = {.name = "bfp_adamw_update",
                                         .cost_class = CostClass::kUpdate,
                                         .min_inputs = 8,
                                         .max_inputs = 9,
                                         .infer = infer_adamw,
                                         .lower = lower,
                                         .kernels = kAdamwKernels,
                                         .divide = divide_values<8>,
                                         .mutates = kAdamwWritten,
                                         .macs = macs,
                                         .examples = adamw_examples};

constinit const OpDef kBfpOuterAdamwUpdate = {
    .name = "bfp_outer_adamw_update",
    .cost_class = CostClass::kUpdate,
    .min_inputs = 8,
    .max_inputs = 11,
    .infer = infer_outer_adamw,
    .lower = lower_outer<8>,
    .kernels = kOuterAdamwKernels,
    .divide = divide_rows,
    .mutates = kAdamwWritten | 1u << 10,
    .macs = macs_outer,
    .examples = outer_adamw_examples};

constinit const OpDef kBfpOuterSgdUpdate = {.name = "bfp_outer_sgd_update",
                                            .cost_class = CostClass::kUpdate,
                                            .min_inputs = 6,
                                            .max_inputs = 10,
                                            .infer = infer_outer_sgd,
                                            .lower = lower_outer<7>,
                                            .kernels = kOuterSgdKernels,
                                            .divide = divide_rows,
                                            .mutates = kSgdWritten | 1u << 9,
                                            .macs = macs_outer,
                                            .examples = outer_sgd_examples};

constinit const OpDef kBfpSgdUpdate = {.name = "bfp_sgd_update",
                                       .cost_class = CostClass::kUpdate,
                                       .min_inputs = 6,
                                       .max_inputs = 8,
                                       .infer = infer_sgd,
                                       .lower = lower,
                                       .kernels = kSgdKernels,
                                       .divide = divide_values<7>,
                                       .mutates = kSgdWritten,
                                       .macs = macs,
                                       .examples = sgd_examples};

}  // namespace ft::ops
