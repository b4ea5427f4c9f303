// int8 layers as deployed with an adapter's side in integers. The loops live in
// kernels/bfp_side_conv2d/ and kernels/bfp_side_depthwise_conv2d/.
//
// bfp_side_conv2d: x, w, bias, h, h_exp, lora_b, lora_b_exp, gain, gain_exp.
// With rank-2 w it
// is a fully connected layer, whose result LiteRT rounds once. Attributes as
// conv2d's and fully_connected's.
// bfp_side_depthwise_conv2d: x, w, bias, w_delta, w_delta_exp, bias_delta,
// bias_delta_exp, gain, gain_exp.
#include "kernels/bfp_side_conv2d/bfp_side_conv2d.h"
#include "kernels/bfp_side_depthwise_conv2d/bfp_side_depthwise_conv2d.h"
#include "kernels/quant/s8_pairs.h"
#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/conv_common.h"
#include "ops/device_rows.h"
#include "ops/division.h"
#include "ops/linear_examples.h"
#include "ops/overlap.h"

namespace ft::ops {
namespace {

bool is_dense(const NodeView& node) { return node.shape(1).rank() == 2; }

const OpDef& twin_of(const NodeView& node) {
  return is_dense(node) ? kFullyConnected : kConv2d;
}

// The same node without its side: what is deployed.
NodeView base_of(const NodeView& node) {
  NodeView base = node;
  base.inputs.resize(std::min<size_t>(base.inputs.size(), 3));
  return base;
}

Status check_int8(const NodeView& node) {
  if (node.in(0).dtype == DType::kS8 && node.in(1).dtype == DType::kS8)
    return ok_status();
  return node.error(fmt::format("x is {} and w is {}, both must be int8",
                                name_of(node.in(0).dtype),
                                name_of(node.in(1).dtype)));
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_int8(node));
  FT_TRY(auto types, twin_of(node).infer(base_of(node)));
  const int64_t out_c = node.shape(1)[0];
  FT_TRY_STATUS(
      check_bfp_side(node, 3, types[0].shape.num_elements() / out_c, out_c));
  FT_TRY_STATUS(check_bfp_vector(node, 7, "gain", {out_c}));
  return types;
}

ConvSizes sizes_of(const NodeView& node) {
  const Shape &x = node.shape(0), &w = node.shape(1), &y = node.out(0).shape;
  if (is_dense(node))
    return {x.num_elements() / w[1], 1, 1, w[1], 1, 1, w[0], 1, 1, 1};
  return {x[0], x[1], x[2], x[3], y[1], y[2], y[3], w[1], w[2], x[3] / w[3]};
}

// Input 7, where there is one: its factor as the kernels read it.
FixedFactor gain_factor(const NodeView& node) {
  return node.has(7) ? fixed_factor(factor_of(node, 7)) : FixedFactor{};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const ConvSizes sizes = sizes_of(node);
  const FixedFactor gain = gain_factor(node);
  ft_bfp_side_conv2d_params p{.conv = conv_params(node, sizes),
                              .round_once = is_dense(node),
                              .gain_multiplier = gain.multiplier,
                              .gain_exponent = gain.exponent};
  set_quant_params(node, p.conv);
  if (node.has(3)) p.conv.rank = static_cast<int32_t>(node.shape(5)[1]);
  lowered.set_params(p);
  FT_TRY_STATUS(add_requantization(node, sizes.out_c, false, lowered));
  lowered.aux.pop_back();  // the float scale of a float side
  lowered.scratch_bytes =
      static_cast<size_t>(sizes.out_c) * sizeof(int32_t) +
      static_cast<size_t>(node.shape(1).num_elements() / sizes.out_c) *
          sizeof(int16_t);
  if (!node.has(3)) return ok_status();
  add_accumulator_scales(node, sizes.out_c,
                         factor_of(node, 3) * factor_of(node, 5) *
                             node.attrs->get_real("lora_scaling", 1),
                         false, lowered);
  return ok_status();
}

int32_t window_bytes(const ft_conv_params& p) { return p.k_h * p.k_w * p.in_c; }

bool accepts_armdsp(const LowerContext& context, const Lowered& lowered) {
  const ft_conv_params p = lowered.params_as<ft_bfp_side_conv2d_params>().conv;
  return p.groups == 1 && !context.view.has(7) &&
         has_constant_weights(context) &&
         ft_can_pack_pairs(
             reinterpret_cast<const int8_t*>(context.constant(1).data()),
             p.out_c, window_bytes(p)) != 0;
}

Status prepare_armdsp(const LowerContext& context, Lowered& lowered) {
  const ft_conv_params p = lowered.params_as<ft_bfp_side_conv2d_params>().conv;
  const auto wide = static_cast<size_t>((window_bytes(p) + 3) / 4 * 4);
  const auto out_c = static_cast<size_t>(p.out_c + p.out_c % 2);
  pack_pairs_of_side(context,
                     {p.out_c, window_bytes(p), p.x_zero_point, p.y_zero_point},
                     lowered);
  lowered.scratch_bytes = out_c * 2 * sizeof(int32_t) + wide * 5;
  return ok_status();
}

Result<std::vector<TensorType>> infer_depthwise(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_int8(node));
  FT_TRY(auto types, kDepthwiseConv2d.infer(base_of(node)));
  FT_TRY_STATUS(check_bfp_vector(node, 3, "w_delta", node.shape(1)));
  FT_TRY_STATUS(
      check_bfp_vector(node, 5, "bias_delta", Shape{node.shape(1).back()}));
  FT_TRY_STATUS(check_bfp_vector(node, 7, "gain", {node.shape(1).back()}));
  return types;
}

Status lower_depthwise(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  LowerContext base = context;
  base.view = base_of(node);
  FT_TRY_STATUS(kDepthwiseConv2d.lower(base, lowered));
  lowered.aux.pop_back();
  const FixedFactor gain = gain_factor(node);
  lowered.set_params(ft_bfp_side_depthwise_conv2d_params{
      .conv = lowered.params_as<ft_conv_params>(),
      .gain_multiplier = gain.multiplier,
      .gain_exponent = gain.exponent});
  const int64_t channels = node.out(0).shape.back();
  if (!node.has(3) && !node.has(5)) return ok_status();
  add_accumulator_scales(node, channels, node.has(3) ? factor_of(node, 3) : 1,
                         true, lowered);
  if (node.has(5))
    add_accumulator_scales(node, channels, factor_of(node, 5), false, lowered);
  return ok_status();
}

// Sums of a channel stay in 32 bits.
bool accepts_depthwise_armdsp(const LowerContext& /*context*/,
                              const Lowered& lowered) {
  const ft_conv_params p =
      lowered.params_as<ft_bfp_side_depthwise_conv2d_params>().conv;
  return p.in_c == p.out_c && p.out_c % 4 == 0 && p.k_h * p.k_w <= 256;
}

int64_t macs(const NodeView& node) {
  const Shape& w = node.shape(1);
  const int64_t rank = node.has(3) ? node.shape(5)[1] : 0;
  return node.out(0).shape.num_elements() *
         (w.num_elements() / std::max<int64_t>(w[0], 1) + rank);
}

int64_t macs_depthwise(const NodeView& node) {
  const Shape& w = node.shape(1);
  return node.out(0).shape.num_elements() * w[1] * w[2];
}

std::vector<OpExample> examples() {
  const TensorType x8 = s8({1, 5, 6, 3}, 0.03f, -7), e = exponent_type();
  const TensorType w8 = s8_per_channel({8, 3, 3, 3}, 0);
  const Attrs same{{"pad_top", 1},       {"pad_left", 1},
                   {"pad_bottom", 1},    {"pad_right", 1},
                   {"act", FT_ACT_RELU}, {"lora_scaling", 2.0}};
  const auto quant = quant_of_output(0.011f, -20);
  return {
      {.inputs = {x8, w8, s32({8})}, .attrs = same, .out_quant = quant},
      {.inputs = {x8, w8, s32({8}), bfp_type({1, 5, 6, 4}, 1.5f), e,
                  bfp_type({8, 4}, 1), e},
       .attrs = same,
       .out_quant = quant},
      {.inputs = {s8({1, 7, 5, 4}, 0.05f, 127), s8({6, 3, 2, 2}, 0.01f, 0)},
       .attrs = {{"dilation_w", 2}, {"stride_h", 2}},
       .out_quant = quant_of_output(0.02f, 5),
       .note = "two groups"},
      {.inputs = {s8({3, 20}, 0.04f, -11), s8({9, 20}, 0.01f, 0), s32({9})},
       .out_quant = quant},
      {.inputs = {s8({2, 16}, 0.05f, 7), s8_per_channel({12, 16}, 0), s32({12}),
                  bfp_type({2, 4}, 1.1f), e, bfp_type({12, 4}, 1), e},
       .out_quant = quant,
       .absent = {2}},
      {.inputs = {s8({2, 16}, 0.05f, 7), s8_per_channel({12, 16}, 0), s32({12}),
                  f32({}), f32({}), f32({}), f32({}), bfp_type({12}, 1.3f), e},
       .attrs = {{"gain_bias", 1}},
       .out_quant = quant,
       .absent = {3, 4, 5, 6}},
      {.inputs = {x8, w8, s32({8}), bfp_type({1, 5, 6, 4}, 1.5f), e,
                  bfp_type({8, 4}, 1), e, bfp_type({8}, 1), e},
       .attrs = same,
       .out_quant = quant}};
}

std::vector<OpExample> examples_depthwise() {
  const TensorType e = exponent_type();
  const Attrs same{{"pad_top", 1},
                   {"pad_left", 1},
                   {"pad_bottom", 1},
                   {"pad_right", 1},
                   {"act", FT_ACT_RELU6}};
  const auto quant = quant_of_output(0.03f, -12);
  return {
      {.inputs = {s8({2, 5, 4, 35}, 0.03f, 9), s8_per_channel({1, 3, 3, 35}, 3),
                  s32({35}), bfp_type({1, 3, 3, 35}, 1.3f), e},
       .attrs = same,
       .out_quant = quant},
      {.inputs = {s8({2, 7, 8, 8}, 0.03f, 9), s8_per_channel({1, 3, 3, 8}, 3),
                  s32({8}), bfp_type({1, 3, 3, 8}, 1.3f), e},
       .attrs = {{"pad_top", 1},
                 {"pad_left", 1},
                 {"stride_h", 2},
                 {"dilation_w", 2}},
       .out_quant = quant},
      {.inputs = {s8({1, 6, 8, 3}, 0.03f, 9), s8({1, 2, 3, 6}, 0.02f, 0)},
       .attrs = {{"stride_w", 2}},
       .out_quant = quant,
       .note = "two outputs a channel"},
      {.inputs = {s8({1, 6, 8, 3}, 0.03f, 9), s8({1, 2, 3, 6}, 0.02f, 0),
                  s32({6}), bfp_type({1, 2, 3, 6}, 1), e},
       .out_quant = quant,
       .absent = {2}},
      {.inputs = {s8({1, 4, 3, 8}, 0.03f, 9), s8_per_channel({1, 2, 2, 8}, 3),
                  s32({8}), bfp_type({1, 2, 2, 8}, 1.3f), e,
                  bfp_type({8}, 1.7f), e},
       .out_quant = quant},
      {.inputs = {s8({1, 4, 3, 8}, 0.03f, 9), s8_per_channel({1, 2, 2, 8}, 3),
                  s32({8}), bfp_type({1, 2, 2, 8}, 1.3f), e,
                  bfp_type({8}, 1.7f), e, bfp_type({8}, 1), e},
       .attrs = {{"gain_bias", 1}},
       .out_quant = quant},
      {.inputs = {s8({1, 4, 3, 8}, 0.03f, 9), s8({1, 2, 2, 8}, 0.02f, 0),
                  s32({8}), f32({}), f32({}), f32({}), f32({}),
                  bfp_type({8}, 1.1f), e},
       .out_quant = quant,
       .absent = {3, 4, 5, 6}}};
}

constexpr KernelDef kKernels[] = {
    {"ft_bfp_side_conv2d_armdsp", Isa::kArmDsp, "s8,s8->s8", nullptr,
     accepts_armdsp, prepare_armdsp},
#if defined(__x86_64__)
    {"ft_bfp_side_conv2d_avx512vnni", Isa::kAvx512Vnni, "s8,s8->s8",
     &ft_bfp_side_conv2d_avx512vnni, nullptr, nullptr, 0, has_avx512vnni},
#endif
    {"ft_bfp_side_conv2d_c99", Isa::kC99, "s8,s8->s8", &ft_bfp_side_conv2d_c99},
};
constexpr KernelDef kDepthwiseKernels[] = {
    {"ft_bfp_side_depthwise_conv2d_armdsp", Isa::kArmDsp, "s8,s8->s8", nullptr,
     accepts_depthwise_armdsp},
#if defined(__x86_64__)
    {"ft_bfp_side_depthwise_conv2d_avx512vnni", Isa::kAvx512Vnni, "s8,s8->s8",
     &ft_bfp_side_depthwise_conv2d_avx512vnni, nullptr, nullptr, 0,
     has_avx512vnni},
#endif
    {"ft_bfp_side_depthwise_conv2d_c99", Isa::kC99, "s8,s8->s8",
     &ft_bfp_side_depthwise_conv2d_c99},
};

// Windows are copied before they are used; the row of DSP takes two pixels.
Overlap overlap(const KernelDef& row, const LowerContext& context,
                const Lowered& lowered) {
  return gathered_overlap(context.view,
                          lowered.params_as<ft_bfp_side_conv2d_params>().conv,
                          row.isa == Isa::kArmDsp ? 2 : 1);
}

Overlap overlap_depthwise(const KernelDef& /*row*/, const LowerContext& context,
                          const Lowered& lowered) {
  return windows_overlap(
      context.view,
      lowered.params_as<ft_bfp_side_depthwise_conv2d_params>().conv, 1);
}

// The row of DSP computes two pixels at a time.
Division divide_pixels(const KernelDef& row, const NodeView& /*node*/,
                       const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_side_conv2d_params>().conv;
  return in_units(ft_num_pixels(&p), row.isa == Isa::kArmDsp ? 2 : 1);
}

Division divide_depthwise(const KernelDef& /*row*/, const NodeView& /*node*/,
                          const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_side_depthwise_conv2d_params>().conv;
  return in_units(ft_num_pixels(&p));
}

}  // namespace

constinit const OpDef kBfpSideConv2d = {.name = "bfp_side_conv2d",
                                        .cost_class = CostClass::kMatrix,
                                        .min_inputs = 2,
                                        .max_inputs = 9,
                                        .infer = infer,
                                        .lower = lower,
                                        .kernels = kKernels,
                                        .signature_inputs = 2,
                                        .overlap = overlap,
                                        .divide = divide_pixels,
                                        .macs = macs,
                                        .examples = examples};

constinit const OpDef kBfpSideDepthwiseConv2d = {
    .name = "bfp_side_depthwise_conv2d",
    .cost_class = CostClass::kDepthwise,
    .min_inputs = 2,
    .max_inputs = 9,
    .infer = infer_depthwise,
    .lower = lower_depthwise,
    .kernels = kDepthwiseKernels,
    .signature_inputs = 2,
    .overlap = overlap_depthwise,
    .divide = divide_depthwise,
    .macs = macs_depthwise,
    .examples = examples_depthwise};

}  // namespace ft::ops
