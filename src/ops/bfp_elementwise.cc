// Element-wise ops, sums and pooling gradients on block floating point. The
// loops live in kernels/bfp_elementwise/ and kernels/bfp_pool2d/. Attributes
// are those of the float twins.
#include "kernels/bfp_elementwise/bfp_elementwise.h"

#include <algorithm>

#include "kernels/bfp_pool2d/bfp_pool2d.h"
#include "ops/activation_bounds.h"
#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/division.h"
#include "ops/linear_examples.h"
#include "ops/pool2d.h"

namespace ft::ops {
namespace {

int32_t count_of(const NodeView& node) {
  return static_cast<int32_t>(node.shape(0).num_elements());
}

double largest_scale(const NodeView& node) {
  return static_cast<double>(std::ranges::max(node.in(0).quant.scale));
}

// q -> y, y_exp
Result<std::vector<TensorType>> infer_dequantize(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  if (node.in(0).dtype != DType::kS8)
    return node.error(
        fmt::format("x is {}, needs int8", node.in(0).to_string()));
  FT_TRY(const Shape y, [&]() -> Result<Shape> {
    FT_TRY(const auto types, kDequantize.infer(node));
    return types[0].shape;
  }());
  if (y.num_elements() == 0) return node.error("x is empty");
  return std::vector<TensorType>{
      bfp_type(y, split_factor(largest_scale(node)).factor), exponent_type()};
}

Status lower_dequantize(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const QuantParams& quant = node.in(0).quant;
  const Shape& x = node.shape(0);
  // (9 + 14 - 8 bits; see the kernel.)
  ft_bfp_dequantize_params p{
      .outer = 1,
      .channels = 1,
      .inner = count_of(node),
      .exponent = split_factor(largest_scale(node)).exponent - 6};
  if (quant.is_per_channel()) {
    const int axis = quant.quantized_dimension;
    p.channels = static_cast<int32_t>(x[axis]);
    p.inner = 1;
    for (int i = 0; i < axis; ++i) p.outer *= static_cast<int32_t>(x[i]);
    for (int i = axis + 1; i < x.rank(); ++i)
      p.inner *= static_cast<int32_t>(x[i]);
  }
  std::vector<int32_t> share;
  for (const float s : quant.scale)
    share.push_back(static_cast<int32_t>(
        std::lround(static_cast<double>(s) / largest_scale(node) * 16384)));
  lowered.set_params(p);
  lowered.add_aux<int32_t>(quant.zero_point);
  lowered.add_aux<int32_t>(share);
  return ok_status();
}

// a, a_exp, b, b_exp -> y, y_exp
Result<std::vector<TensorType>> infer_add(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  FT_TRY_STATUS(check_bfp(node, 2, 3));
  FT_TRY_STATUS(check_same_shape(node, 0, 2));
  return std::vector<TensorType>{
      bfp_type(node.shape(0), node.in(0).quant.scale[0]), exponent_type()};
}

Status lower_add(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const FixedFactor f = fixed_factor(factor_of(node, 2) / factor_of(node, 0));
  lowered.set_params(ft_bfp_add_params{.count = count_of(node),
                                       .multiplier = f.multiplier,
                                       .shift = f.exponent + 31});
  return ok_status();
}

// dy, y -> dx; the exponent stays
Result<std::vector<TensorType>> infer_activation(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_act(node));
  const bool real = node.in(1).dtype == DType::kS16;
  if (node.in(0).dtype != DType::kS16 ||
      (!real && node.in(1).dtype != DType::kS8))
    return node.error(
        fmt::format("dy is {} and y is {}, needs int16 and int8 or int16",
                    node.in(0).to_string(), node.in(1).to_string()));
  FT_TRY_STATUS(check_same_shape(node, 0, 1));
  if (!real) FT_TRY_STATUS(check_real_or_per_tensor(node, 1));
  const int64_t act = node.attrs->get_int("act");
  if (real && act != FT_ACT_NONE && act != FT_ACT_RELU)
    return node.error("int16 y has no bound but zero");
  return std::vector<TensorType>{node.in(0)};
}

Status lower_activation(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const int64_t act = node.attrs->get_int("act");
  ft_bfp_activation_grad_params p{.count = count_of(node),
                                  .y_is_s8 = node.in(1).dtype == DType::kS8,
                                  .q_low = act == FT_ACT_RELU ? 0 : INT32_MIN,
                                  .q_high = INT32_MAX};
  if (p.y_is_s8) {
    const ActivationBounds q = activation_bounds(act, node.in(1).quant);
    p.q_low = q.low;
    p.q_high = q.high;
  }
  lowered.set_params(p);
  return ok_status();
}

// The axes of `wide` that `narrow` sums over; they are 1 or absent there.
Status set_axes(const NodeView& node, const Shape& wide,
                const std::vector<bool>& summed, Lowered& lowered) {
  ft_bfp_axes_params p{.rank = wide.rank(), .dim = {}, .mask = 0};
  for (int d = 0; d < wide.rank(); ++d) {
    p.dim[d] = static_cast<int32_t>(wide[d]);
    p.mask |= summed[static_cast<size_t>(d)] ? 1 << d : 0;
  }
  if (wide.num_elements() == 0) return node.error("is empty");
  lowered.set_params(p);
  return ok_status();
}

// x, x_exp, predicted -> y, y_exp
Result<std::vector<TensorType>> infer_reduce(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  FT_TRY_STATUS(check_state(node, 2));
  if (node.attrs->get_word("kind") != "sum")
    return node.error(
        fmt::format("kind is '{}', must be sum", node.attrs->get_word("kind")));
  FT_TRY(const Shape y, TwinView(node, {0}).infer(kReduce));
  return std::vector<TensorType>{bfp_type(y, node.in(0).quant.scale[0]),
                                 exponent_type()};
}

Status lower_reduce(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape& x = node.shape(0);
  std::vector<bool> summed(static_cast<size_t>(x.rank()), false);
  for (int64_t axis : node.attrs->get_ints("axes")) {
    if (axis < 0) axis += x.rank();
    summed[static_cast<size_t>(axis)] = true;
  }
  return set_axes(node, x, summed, lowered);
}

// x -> y; the exponent stays, `scale` goes into the factor
Result<std::vector<TensorType>> infer_broadcast(const NodeView& node) {
  FT_TRY_STATUS(check_count(node, node.shape(0)));
  if (node.in(0).dtype != DType::kS16 || node.in(0).quant.scale.size() != 1)
    return node.error(fmt::format("x is {}, needs int16 with one scale",
                                  node.in(0).to_string()));
  FT_TRY(const Shape y, TwinView(node, {0}).infer(kBroadcastTo));
  if (node.shape(0).rank() != y.rank())
    return node.error(fmt::format("x {} and y {} differ in rank",
                                  node.shape(0).to_string(), y.to_string()));
  const double scale = node.attrs->get_real("scale", 1);
  const auto factor = static_cast<float>(factor_of(node, 0) * scale);
  if (!std::isnormal(factor) || factor < 0)
    return node.error(fmt::format("scale is {}, must be positive", scale));
  return std::vector<TensorType>{bfp_type(y, factor)};
}

Status lower_broadcast(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape& y = node.out(0).shape;
  std::vector<bool> repeated;
  for (int d = 0; d < y.rank(); ++d)
    repeated.push_back(node.shape(0)[d] == 1 && y[d] != 1);
  return set_axes(node, y, repeated, lowered);
}

Result<std::vector<TensorType>> pool_types(const NodeView& node) {
  FT_TRY(const Shape dx, TwinView(node, {0}).infer(kAvgPool2dGrad));
  return std::vector<TensorType>{bfp_type(dx, node.in(0).quant.scale[0]),
                                 exponent_type()};
}

// dy, dy_exp, predicted -> dx, dx_exp
Result<std::vector<TensorType>> infer_average(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  FT_TRY_STATUS(check_state(node, 2));
  return pool_types(node);
}

// dy, dy_exp, x, y, predicted -> dx, dx_exp
Result<std::vector<TensorType>> infer_maximum(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  FT_TRY_STATUS(check_state(node, 4));
  FT_TRY(auto types, pool_types(node));
  if (node.in(2).dtype != DType::kS8 || node.in(3).dtype != DType::kS8 ||
      node.shape(2) != types[0].shape || node.shape(3) != node.shape(0))
    return node.error(
        fmt::format("x is {} and y {}, needs int8{} and int8{}",
                    node.in(2).to_string(), node.in(3).to_string(),
                    types[0].shape.to_string(), node.shape(0).to_string()));
  return types;
}

Status lower_pool(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  FT_TRY(const ft_pool2d_params p,
         TwinView(node, {0}).params<ft_pool2d_params>(kAvgPool2dGrad, context,
                                                      node.out(0).shape));
  lowered.set_params(p);
  lowered.scratch_bytes = static_cast<size_t>(p.c) * sizeof(int64_t);
  return ok_status();
}

const TensorType kExp = exponent_type();

std::vector<OpExample> dequantize_examples() {
  return {{.inputs = {s8({3, 7}, 0.05f, -128)}},
          {.inputs = {s8_per_channel({1, 3, 3, 5}, 3)}}};
}

std::vector<OpExample> add_examples() {
  return {{.inputs = {bfp_type({3, 7}, 1.25f), kExp, bfp_type({3, 7}, 1.9f),
                      kExp}}};
}

std::vector<OpExample> activation_examples() {
  return {{.inputs = {bfp_type({4, 35}, 1), s8({4, 35}, 0.05f, -10)}},
          {.inputs = {bfp_type({4, 35}, 1), s8({4, 35}, 0.05f, -10)},
           .attrs = {{"act", FT_ACT_RELU6}}},
          {.inputs = {bfp_type({4, 35}, 1), bfp_type({4, 35}, 1.5f)},
           .attrs = {{"act", FT_ACT_RELU}}}};
}

std::vector<OpExample> reduce_examples() {
  using Ints = std::vector<int64_t>;
  return {
      {.inputs = {bfp_type({2, 5, 4, 6}, 1.5f), kExp, kExp},
       .attrs = {{"kind", "sum"}, {"axes", Ints{0, 1, 2}}, {"keep_dims", 0}}},
      {.inputs = {bfp_type({3, 4, 5}, 1.5f), kExp},
       .attrs = {{"kind", "sum"}, {"axes", Ints{1}}, {"keep_dims", 1}}}};
}

std::vector<OpExample> broadcast_examples() {
  using Ints = std::vector<int64_t>;
  return {{.inputs = {bfp_type({2, 1, 1, 5}, 1.5f)},
           .attrs = {{"shape", Ints{2, 3, 4, 5}}, {"scale", 1.0 / 12}}}};
}

Attrs padded_pool() {
  return {{"filter_h", 3},   {"filter_w", 2}, {"stride_h", 2}, {"pad_top", 1},
          {"pad_bottom", 2}, {"in_h", 7},     {"in_w", 5}};
}

std::vector<OpExample> average_examples() {
  return {
      {.inputs = {bfp_type({2, 1, 1, 4}, 1), kExp, kExp},
       .attrs = {{"filter_h", 5}, {"filter_w", 3}, {"in_h", 5}, {"in_w", 3}}},
      {.inputs = {bfp_type({2, 4, 4, 3}, 1), kExp}, .attrs = padded_pool()}};
}

std::vector<OpExample> maximum_examples() {
  const TensorType x = s8({2, 7, 5, 3}, 0.1f, 9), y = s8({2, 4, 4, 3}, 0.1f, 9);
  const TensorType dy = bfp_type({2, 4, 4, 3}, 1);
  return {{.inputs = {dy, kExp, x, y, kExp}, .attrs = padded_pool()},
          {.inputs = {dy, kExp, x, y}, .attrs = padded_pool()}};
}

constexpr KernelDef kDequantizeKernels[] = {
    {"ft_bfp_dequantize_c99", Isa::kC99, "s8->s16", &ft_bfp_dequantize_c99}};
constexpr KernelDef kAddKernels[] = {
    {"ft_bfp_add_c99", Isa::kC99, "s16->s16", &ft_bfp_add_c99}};
constexpr KernelDef kActivationKernels[] = {{"ft_bfp_activation_grad_c99",
                                             Isa::kC99, "s16->s16",
                                             &ft_bfp_activation_grad_c99}};
constexpr KernelDef kReduceKernels[] = {
    {"ft_bfp_reduce_c99", Isa::kC99, "s16->s16", &ft_bfp_reduce_c99}};
constexpr KernelDef kBroadcastKernels[] = {{"ft_bfp_broadcast_to_c99",
                                            Isa::kC99, "s16->s16",
                                            &ft_bfp_broadcast_to_c99}};
constexpr KernelDef kAverageKernels[] = {{"ft_bfp_avg_pool2d_grad_c99",
                                          Isa::kC99, "s16->s16",
                                          &ft_bfp_avg_pool2d_grad_c99}};
constexpr KernelDef kMaximumKernels[] = {{"ft_bfp_max_pool2d_grad_c99",
                                          Isa::kC99, "s16->s16",
                                          &ft_bfp_max_pool2d_grad_c99}};

// The first round finds how long the numbers are, which is little of the work.
Division divide_add(const KernelDef& /*row*/, const NodeView& node,
                    const Lowered& /*lowered*/) {
  return {.units = count_of(node), .grain = 1, .rounds = 2, .share = 0.9};
}

Division divide_elements(const KernelDef& /*row*/, const NodeView& node,
                         const Lowered& /*lowered*/) {
  return in_units(count_of(node));
}

// Every element of the output is a sum.
Division divide_sums(const KernelDef& /*row*/, const NodeView& node,
                     const Lowered& /*lowered*/) {
  return in_bfp_fills(node.out(0).shape.num_elements());
}

Division divide_pixels(const KernelDef& /*row*/, const NodeView& /*node*/,
                       const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_pool2d_params>();
  return in_bfp_fills(int64_t{p.n} * p.h * p.w);
}

}  // namespace

constinit const OpDef kBfpDequantize = {.name = "bfp_dequantize",
                                        .infer = infer_dequantize,
                                        .lower = lower_dequantize,
                                        .kernels = kDequantizeKernels,
                                        .examples = dequantize_examples};

constinit const OpDef kBfpAdd = {.name = "bfp_add",
                                 .min_inputs = 4,
                                 .max_inputs = 4,
                                 .infer = infer_add,
                                 .lower = lower_add,
                                 .kernels = kAddKernels,
                                 .inplace_input = 0,
                                 .divide = divide_add,
                                 .examples = add_examples};

constinit const OpDef kBfpActivationGrad = {.name = "bfp_activation_grad",
                                            .min_inputs = 2,
                                            .max_inputs = 2,
                                            .infer = infer_activation,
                                            .lower = lower_activation,
                                            .kernels = kActivationKernels,
                                            .inplace_input = 0,
                                            .divide = divide_elements,
                                            .examples = activation_examples};

constinit const OpDef kBfpReduce = {.name = "bfp_reduce",
                                    .cost_class = CostClass::kReduction,
                                    .min_inputs = 2,
                                    .max_inputs = 3,
                                    .infer = infer_reduce,
                                    .lower = lower_reduce,
                                    .kernels = kReduceKernels,
                                    .divide = divide_sums,
                                    .mutates = 1u << 2,
                                    .examples = reduce_examples};

constinit const OpDef kBfpBroadcastTo = {.name = "bfp_broadcast_to",
                                         .cost_class = CostClass::kMovement,
                                         .infer = infer_broadcast,
                                         .lower = lower_broadcast,
                                         .kernels = kBroadcastKernels,
                                         .examples = broadcast_examples};

constinit const OpDef kBfpAvgPool2dGrad = {.name = "bfp_avg_pool2d_grad",
                                           .cost_class = CostClass::kReduction,
                                           .min_inputs = 2,
                                           .max_inputs = 3,
                                           .infer = infer_average,
                                           .lower = lower_pool,
                                           .kernels = kAverageKernels,
                                           .divide = divide_pixels,
                                           .mutates = 1u << 2,
                                           .macs = pool2d_grad_macs,
                                           .examples = average_examples};

constinit const OpDef kBfpMaxPool2dGrad = {.name = "bfp_max_pool2d_grad",
                                           .cost_class = CostClass::kReduction,
                                           .min_inputs = 4,
                                           .max_inputs = 5,
                                           .infer = infer_maximum,
                                           .lower = lower_pool,
                                           .kernels = kMaximumKernels,
                                           .divide = divide_pixels,
                                           .mutates = 1u << 4,
                                           .macs = pool2d_grad_macs,
                                           .examples = maximum_examples};

}  // namespace ft::ops
