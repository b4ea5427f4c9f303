// Convolutions on block floating point and their gradients; those of a
// depthwise convolution too. An input gradient with the attribute overwrites=1
// computes its sums twice, so that it may lie over dy. The loops live in
// kernels/bfp_conv2d/ and kernels/bfp_depthwise_conv2d/.
#include "kernels/bfp_conv2d/bfp_conv2d.h"

#include "kernels/bfp/bfp.h"
#include "kernels/bfp/window.h"
#include "kernels/bfp_depthwise_conv2d/bfp_depthwise_conv2d.h"
#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/bfp_conv2d_examples.h"
#include "ops/conv_common.h"
#include "ops/device_rows.h"
#include "ops/division.h"
#include "ops/linear_examples.h"
#include "ops/overlap.h"

namespace ft::ops {
namespace {

bool is_s8(const NodeView& node, size_t i) {
  return node.in(i).dtype == DType::kS8;
}

// One factor of the product, and the type of the result.
std::vector<TensorType> result_types(const Shape& shape, double factor) {
  return {bfp_type(shape, split_factor(factor).factor), exponent_type()};
}

Status no_activation(const NodeView& node) {
  if (node.attrs->get_int("act") == FT_ACT_NONE) return ok_status();
  return node.error("has no fused activation");
}

// x, w, w_exp, x_exp, bias, bias_exp
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_operand(node, 0, 3));
  FT_TRY_STATUS(check_bfp(node, 1, 2));
  if (node.has(4))
    FT_TRY_STATUS(check_bfp(node, 4, 5));
  else if (node.has(5))
    return node.error("has an exponent of a bias, but no bias");
  FT_TRY_STATUS(no_activation(node));
  FT_TRY(const Shape y, TwinView(node, {0, 1, 4}).infer(kConv2d));
  return result_types(y, factor_of(node, 0) * factor_of(node, 1));
}

// Fields and scratch that all kernels share; `s8_input`: which may be int8.
Status finish(const NodeView& node, const ft_conv_params& conv, size_t s8_input,
              double factor, Lowered& lowered) {
  ft_bfp_conv2d_params p{.conv = conv,
                         .exponent = split_factor(factor).exponent,
                         .is_s8 = is_s8(node, s8_input),
                         .guard = 0,
                         .passes = node.attrs->get_int("overwrites") != 0
                                       ? FT_BFP_TWICE
                                       : FT_BFP_ONCE,
                         .add_multiplier = 0,
                         .add_shift = 0};
  if (p.is_s8) p.conv.x_zero_point = node.in(s8_input).quant.zero_point[0];
  lowered.set_params(p);
  lowered.scratch_bytes =
      static_cast<size_t>(node.out(0).shape.back()) * sizeof(int64_t);
  return ok_status();
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  FT_TRY(const ft_conv_params conv,
         TwinView(node, {0, 1, 4})
             .params<ft_conv_params>(kConv2d, context, node.out(0).shape));
  const double factor = factor_of(node, 0) * factor_of(node, 1);
  if (node.has(4)) {
    const FixedFactor f = fixed_factor(factor_of(node, 4) / factor);
    lowered.add_aux<int32_t>(std::array{f.multiplier, f.exponent});
  }
  FT_TRY_STATUS(finish(node, conv, 0, factor, lowered));
  if (is_s8(node, 0))
    lowered.scratch_bytes +=
        static_cast<size_t>(node.shape(1).num_elements() / conv.out_c) *
        sizeof(int16_t);
  return ok_status();
}

// Scales of int8 weights, one each output channel or one for all.
double largest_scale(const NodeView& node, size_t i) {
  float largest = 0;
  for (const float s : node.in(i).quant.scale) largest = std::max(largest, s);
  return static_cast<double>(largest);
}

// dy, dy_exp, w, w_exp, predicted, addend, addend_exp
Result<std::vector<TensorType>> infer_input_grad(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  if (is_s8(node, 2)) {
    FT_TRY_STATUS(check_count(node, node.shape(2)));
    FT_TRY_STATUS(check_image(node, 2, "w"));
    FT_TRY_STATUS(check_s8(node, 2, "w", true, 0));
    if (node.has(3)) return node.error("int8 w has an exponent");
  } else {
    FT_TRY_STATUS(check_bfp(node, 2, 3));
  }
  FT_TRY_STATUS(check_state(node, 4));
  FT_TRY(const Shape dx, TwinView(node, {0, 2}).infer(kConv2dInputGrad));
  if (!node.has(5)) {
    if (node.has(6)) return node.error("has an exponent of an addend alone");
    return result_types(dx, factor_of(node, 0) * largest_scale(node, 2));
  }
  FT_TRY_STATUS(check_bfp(node, 5, 6));
  if (node.shape(5) != dx)
    return node.error(fmt::format("the addend is {}, the gradient {}",
                                  node.in(5).to_string(), dx.to_string()));
  return std::vector<TensorType>{bfp_type(dx, node.in(5).quant.scale[0]),
                                 exponent_type()};
}

// Fewest bits by which dy must be shorter for a sum of `terms` products with
// int8 weights to fit int32.
int32_t guard_bits(int64_t terms) {
  int32_t guard = 0;
  while (terms * ((int64_t{32768} >> guard) + 1) * 128 > INT32_MAX) ++guard;
  return guard;
}

// One more row of mantissas, and the gradient's unit in the addend's; `factor`:
// of the gradient.
void add_addend(const NodeView& node, double factor, Lowered& lowered) {
  if (!node.has(5)) return;
  const auto units = static_cast<double>(split_factor(factor).factor);
  const FixedFactor f = fixed_factor(units / factor_of(node, 5));
  auto p = lowered.params_as<ft_bfp_conv2d_params>();
  p.add_multiplier = f.multiplier;
  p.add_shift = f.exponent + 31;
  lowered.set_params(p);
  lowered.scratch_bytes += static_cast<size_t>(p.conv.in_c) * sizeof(int16_t);
}

Status lower_input_grad(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape& w = node.shape(2);
  FT_TRY(const ft_conv_params conv,
         TwinView(node, {0, 2})
             .params<ft_conv_params>(kConv2dInputGrad, context,
                                     node.out(0).shape));
  const double largest = largest_scale(node, 2);
  FT_TRY_STATUS(finish(node, conv, 2, factor_of(node, 0) * largest, lowered));
  if (!is_s8(node, 2)) {
    add_addend(node, factor_of(node, 0) * largest, lowered);
    return ok_status();
  }
  lowered.scratch_bytes = static_cast<size_t>(conv.in_c) * sizeof(int32_t) +
                          static_cast<size_t>(conv.out_c) * sizeof(int16_t);
  ft_bfp_conv2d_params p = lowered.params_as<ft_bfp_conv2d_params>();
  p.guard = guard_bits(w[0] / conv.groups * w[1] * w[2]);
  if (p.guard > 12)
    return node.error(fmt::format("sums of {} products are too long",
                                  w[0] / conv.groups * w[1] * w[2]));
  lowered.set_params(p);
  add_addend(node, factor_of(node, 0) * largest, lowered);
  std::vector<int32_t> share;
  for (const float s : channel_scales(node.in(2), conv.out_c))
    share.push_back(static_cast<int32_t>(
        std::lround(static_cast<double>(s) / largest * 32768)));
  lowered.add_aux<int32_t>(share);
  return ok_status();
}

// x, dy, dy_exp, x_exp, predicted
Result<std::vector<TensorType>> infer_x_dy(const NodeView& node,
                                           const OpDef& twin) {
  FT_TRY_STATUS(check_operand(node, 0, 3));
  FT_TRY_STATUS(check_bfp(node, 1, 2));
  FT_TRY_STATUS(check_state(node, 4));
  FT_TRY(const Shape dw, TwinView(node, {0, 1}).infer(twin));
  return result_types(dw, factor_of(node, 0) * factor_of(node, 1));
}

// `second`: the other operand's input.
Status lower_pair(const LowerContext& context, const OpDef& twin, size_t second,
                  Lowered& lowered) {
  const NodeView& node = context.view;
  FT_TRY(const ft_conv_params conv,
         TwinView(node, {0, second})
             .params<ft_conv_params>(twin, context, node.out(0).shape));
  return finish(node, conv, 0, factor_of(node, 0) * factor_of(node, second),
                lowered);
}

Result<std::vector<TensorType>> infer_weight_grad(const NodeView& node) {
  return infer_x_dy(node, kConv2dWeightGrad);
}

Status lower_weight_grad(const LowerContext& context, Lowered& lowered) {
  FT_TRY_STATUS(lower_pair(context, kConv2dWeightGrad, 1, lowered));
  const ft_conv_params conv = lowered.params_as<ft_bfp_conv2d_params>().conv;
  const auto lanes = static_cast<size_t>(ft_weight_grad_lanes(&conv));
  const auto cols = static_cast<size_t>(conv.k_w * (conv.in_c / conv.groups));
  const bool is_narrow = ft_num_pixels(&conv) <= FT_S9S16_TERMS;
  lowered.scratch_bytes = lanes * cols * sizeof(int64_t);
  if (!is_s8(context.view, 0)) return ok_status();
  lowered.scratch_bytes = lanes * cols * (is_narrow ? 0 : sizeof(int64_t)) +
                          cols * (lanes * sizeof(int32_t) +
                                  FT_WEIGHT_GRAD_PIXELS * sizeof(int16_t));
  return ok_status();
}

// Beside interleaved windows, int8 ones of pixels at a border.
Status prepare_weight_grad_armdsp(const LowerContext& /*context*/,
                                  Lowered& lowered) {
  const ft_conv_params p = lowered.params_as<ft_bfp_conv2d_params>().conv;
  const auto cols = static_cast<size_t>(p.k_w * (p.in_c / p.groups));
  const int32_t end = (p.out_w - 1) * p.stride_w - p.pad_left + p.k_w;
  const bool is_dense = p.groups == 1 && p.dilation_w == 1 && p.pad_left == 0;
  lowered.scratch_bytes += cols % 2 * FT_WEIGHT_GRAD_PIXELS * sizeof(int16_t);
  if (!is_dense || end > p.in_w)
    lowered.scratch_bytes += cols * FT_WEIGHT_GRAD_PIXELS;
  return ok_status();
}

bool accepts_input_grad_armdsp(const LowerContext& context,
                               const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_conv2d_params>();
  return p.is_s8 != 0 && p.conv.groups == 1 && !context.constant(2).empty();
}

Status prepare_input_grad_armdsp(const LowerContext& context,
                                 Lowered& lowered) {
  const ft_conv_params p = lowered.params_as<ft_bfp_conv2d_params>().conv;
  const auto taps = static_cast<size_t>(p.k_h * p.k_w);
  const auto in_c = static_cast<size_t>(p.in_c + p.in_c % 2);
  const auto out_c = static_cast<size_t>((p.out_c + 3) / 4 * 4);
  pack_input_grad(context, lowered);
  lowered.scratch_bytes =
      in_c * 4 + taps * (2 * sizeof(int32_t) + out_c * sizeof(int16_t));
  if (context.view.has(5)) lowered.scratch_bytes += in_c * sizeof(int16_t);
  return ok_status();
}

Result<std::vector<TensorType>> infer_dw_weight_grad(const NodeView& node) {
  return infer_x_dy(node, kDepthwiseConv2dWeightGrad);
}

Status lower_dw_weight_grad(const LowerContext& context, Lowered& lowered) {
  return lower_pair(context, kDepthwiseConv2dWeightGrad, 1, lowered);
}

// dy, dy_exp, w, w_exp, predicted
Result<std::vector<TensorType>> infer_dw_input_grad(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  FT_TRY_STATUS(check_bfp(node, 2, 3));
  FT_TRY_STATUS(check_state(node, 4));
  FT_TRY(const Shape dx,
         TwinView(node, {0, 2}).infer(kDepthwiseConv2dInputGrad));
  return result_types(dx, factor_of(node, 0) * factor_of(node, 2));
}

Status lower_dw_input_grad(const LowerContext& context, Lowered& lowered) {
  return lower_pair(context, kDepthwiseConv2dInputGrad, 2, lowered);
}

bool accepts_dw_input_grad_armdsp(const LowerContext& /*context*/,
                                  const Lowered& lowered) {
  const ft_conv_params p = lowered.params_as<ft_bfp_conv2d_params>().conv;
  return p.in_c == p.out_c && p.out_c % 2 == 0;
}

Status prepare_dw_input_grad_armdsp(const LowerContext& /*context*/,
                                    Lowered& lowered) {
  const ft_conv_params p = lowered.params_as<ft_bfp_conv2d_params>().conv;
  lowered.scratch_bytes +=
      static_cast<size_t>(p.k_h * p.k_w) * 2 * sizeof(int32_t);
  return ok_status();
}

bool accepts_dw_weight_grad_armdsp(const LowerContext& /*context*/,
                                   const Lowered& lowered) {
  const ft_conv_params p = lowered.params_as<ft_bfp_conv2d_params>().conv;
  return p.in_c == p.out_c && p.out_c % 4 == 0 && p.out_w <= FT_S9S16_TERMS;
}

int64_t macs(const NodeView& node) {
  const Shape& w = node.shape(1);
  return node.out(0).shape.num_elements() * w[1] * w[2] * w[3];
}
// Where the gradient takes its own input's or its addend's place, a first pass
// finds the exponent.
int64_t passes_of(const NodeView& node) {
  return node.attrs->get_int("overwrites") != 0 || node.has(5) ? 2 : 1;
}
int64_t macs_input_grad(const NodeView& node) {
  const Shape& w = node.shape(2);
  return passes_of(node) * node.shape(0).num_elements() * w[1] * w[2] * w[3];
}
int64_t macs_weight_grad(const NodeView& node) {
  const Shape& dw = node.out(0).shape;
  return node.shape(1).num_elements() * dw[1] * dw[2] * dw[3];
}
int64_t macs_depthwise_input_grad(const NodeView& node) {
  const Shape& w = node.shape(2);
  return passes_of(node) * node.shape(0).num_elements() * w[1] * w[2];
}
int64_t macs_depthwise_weight_grad(const NodeView& node) {
  const Shape& dw = node.out(0).shape;
  return node.shape(1).num_elements() * dw[1] * dw[2];
}

// Rows of DSP have inner loops of their own where x is int8.
constexpr KernelDef kKernels[] = {
    {"ft_bfp_conv2d_armdsp", Isa::kArmDsp, "s8->s16", nullptr},
#if defined(__x86_64__)
    {"ft_bfp_conv2d_avx512vnni", Isa::kAvx512Vnni, "s8->s16",
     &ft_bfp_conv2d_avx512vnni, nullptr, nullptr, 0, has_avx512vnni},
    {"ft_bfp_conv2d_avx512vnni", Isa::kAvx512Vnni, "s16->s16",
     &ft_bfp_conv2d_avx512vnni, nullptr, nullptr, 0, has_avx512vnni},
#endif
    {"ft_bfp_conv2d_c99", Isa::kC99, "s8->s16", &ft_bfp_conv2d_c99},
    {"ft_bfp_conv2d_c99", Isa::kC99, "s16->s16", &ft_bfp_conv2d_c99},
};
constexpr KernelDef kInputGradKernels[] = {
    {"ft_bfp_conv2d_input_grad_armdsp", Isa::kArmDsp, "s16->s16", nullptr,
     accepts_input_grad_armdsp, prepare_input_grad_armdsp},
#if defined(__x86_64__)
    {"ft_bfp_conv2d_input_grad_avx512vnni", Isa::kAvx512Vnni, "s16->s16",
     &ft_bfp_conv2d_input_grad_avx512vnni, nullptr, nullptr, 0, has_avx512vnni},
#endif
    {"ft_bfp_conv2d_input_grad_c99", Isa::kC99, "s16->s16",
     &ft_bfp_conv2d_input_grad_c99},
};
constexpr KernelDef kWeightGradKernels[] = {
    {"ft_bfp_conv2d_weight_grad_armdsp", Isa::kArmDsp, "s8->s16", nullptr,
     nullptr, prepare_weight_grad_armdsp},
#if defined(__x86_64__)
    {"ft_bfp_conv2d_weight_grad_avx512vnni", Isa::kAvx512Vnni, "s8->s16",
     &ft_bfp_conv2d_weight_grad_avx512vnni, nullptr, nullptr, 0,
     has_avx512vnni},
    {"ft_bfp_conv2d_weight_grad_avx512vnni", Isa::kAvx512Vnni, "s16->s16",
     &ft_bfp_conv2d_weight_grad_avx512vnni, nullptr, nullptr, 0,
     has_avx512vnni},
#endif
    {"ft_bfp_conv2d_weight_grad_c99", Isa::kC99, "s8->s16",
     &ft_bfp_conv2d_weight_grad_c99},
    {"ft_bfp_conv2d_weight_grad_c99", Isa::kC99, "s16->s16",
     &ft_bfp_conv2d_weight_grad_c99},
};
constexpr KernelDef kDwInputGradKernels[] = {
    {"ft_bfp_depthwise_conv2d_input_grad_armdsp", Isa::kArmDsp, "s16->s16",
     nullptr, accepts_dw_input_grad_armdsp, prepare_dw_input_grad_armdsp},
#if defined(__x86_64__)
    {"ft_bfp_depthwise_conv2d_input_grad_avx512vnni", Isa::kAvx512Vnni,
     "s16->s16", &ft_bfp_depthwise_conv2d_input_grad_avx512vnni, nullptr,
     nullptr, 0, has_avx512vnni},
#endif
    {"ft_bfp_depthwise_conv2d_input_grad_c99", Isa::kC99, "s16->s16",
     &ft_bfp_depthwise_conv2d_input_grad_c99},
};
constexpr KernelDef kDwWeightGradKernels[] = {
    {"ft_bfp_depthwise_conv2d_weight_grad_armdsp", Isa::kArmDsp, "s8->s16",
     nullptr, accepts_dw_weight_grad_armdsp},
#if defined(__x86_64__)
    {"ft_bfp_depthwise_conv2d_weight_grad_avx512vnni", Isa::kAvx512Vnni,
     "s8->s16", &ft_bfp_depthwise_conv2d_weight_grad_avx512vnni, nullptr,
     nullptr, 0, has_avx512vnni},
    {"ft_bfp_depthwise_conv2d_weight_grad_avx512vnni", Isa::kAvx512Vnni,
     "s16->s16", &ft_bfp_depthwise_conv2d_weight_grad_avx512vnni, nullptr,
     nullptr, 0, has_avx512vnni},
#endif
    {"ft_bfp_depthwise_conv2d_weight_grad_c99", Isa::kC99, "s8->s16",
     &ft_bfp_depthwise_conv2d_weight_grad_c99},
    {"ft_bfp_depthwise_conv2d_weight_grad_c99", Isa::kC99, "s16->s16",
     &ft_bfp_depthwise_conv2d_weight_grad_c99},
};

// A row that computes some of its outputs again needs all of dy till the end.
Overlap overlap_input_grad(const KernelDef& /*row*/,
                           const LowerContext& context,
                           const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_conv2d_params>();
  if (context.view.has(5)) return elements_overlap(context.view, 5);
  if (p.passes != FT_BFP_TWICE) return {};
  return gradients_overlap(context.view, p.conv);
}

Division divide_pixels(const KernelDef& /*row*/, const NodeView& /*node*/,
                       const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_conv2d_params>();
  return in_bfp_fills(ft_num_pixels(&p.conv));
}

// Not where it is added to a sum: that needs the largest of all first.
Division divide_input_grad(const KernelDef& /*row*/, const NodeView& node,
                           const Lowered& lowered) {
  if (node.has(5)) return {};
  const auto& p = lowered.params_as<ft_bfp_conv2d_params>();
  return in_bfp_fills(int64_t{p.conv.batch} * p.conv.in_h * p.conv.in_w,
                      p.passes);
}

Division divide_weight_grad(const KernelDef& /*row*/, const NodeView& /*node*/,
                            const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_conv2d_params>();
  return in_bfp_fills(p.conv.out_c / ft_weight_grad_lanes(&p.conv) *
                      p.conv.k_h);
}

Division divide_taps(const KernelDef& /*row*/, const NodeView& /*node*/,
                     const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_conv2d_params>();
  return in_bfp_fills(p.conv.k_h * p.conv.k_w);
}

}  // namespace

constinit const OpDef kBfpConv2d = {.name = "bfp_conv2d",
                                    .cost_class = CostClass::kMatrix,
                                    .min_inputs = 3,
                                    .max_inputs = 6,
                                    .infer = infer,
                                    .lower = lower,
                                    .kernels = kKernels,
                                    .divide = divide_pixels,
                                    .macs = macs,
                                    .examples = bfp_conv2d_examples};

constinit const OpDef kBfpConv2dInputGrad = {
    .name = "bfp_conv2d_input_grad",
    .cost_class = CostClass::kMatrix,
    .min_inputs = 3,
    .max_inputs = 7,
    .infer = infer_input_grad,
    .lower = lower_input_grad,
    .kernels = kInputGradKernels,
    .overlap = overlap_input_grad,
    .divide = divide_input_grad,
    .mutates = 1u << 4,
    .macs = macs_input_grad,
    .examples = bfp_conv2d_input_grad_examples};

constinit const OpDef kBfpConv2dWeightGrad = {
    .name = "bfp_conv2d_weight_grad",
    .cost_class = CostClass::kMatrix,
    .min_inputs = 3,
    .max_inputs = 5,
    .infer = infer_weight_grad,
    .lower = lower_weight_grad,
    .kernels = kWeightGradKernels,
    .divide = divide_weight_grad,
    .mutates = 1u << 4,
    .macs = macs_weight_grad,
    .examples = bfp_conv2d_weight_grad_examples};

constinit const OpDef kBfpDepthwiseConv2dInputGrad = {
    .name = "bfp_depthwise_conv2d_input_grad",
    .cost_class = CostClass::kDepthwise,
    .min_inputs = 3,
    .max_inputs = 5,
    .infer = infer_dw_input_grad,
    .lower = lower_dw_input_grad,
    .kernels = kDwInputGradKernels,
    .overlap = overlap_input_grad,
    .divide = divide_input_grad,
    .mutates = 1u << 4,
    .macs = macs_depthwise_input_grad,
    .examples = bfp_depthwise_input_grad_examples};

constinit const OpDef kBfpDepthwiseConv2dWeightGrad = {
    .name = "bfp_depthwise_conv2d_weight_grad",
    .cost_class = CostClass::kDepthwise,
    .min_inputs = 3,
    .max_inputs = 5,
    .infer = infer_dw_weight_grad,
    .lower = lower_dw_weight_grad,
    .kernels = kDwWeightGradKernels,
    .divide = divide_taps,
    .mutates = 1u << 4,
    .macs = macs_depthwise_weight_grad,
    .examples = bfp_depthwise_weight_grad_examples};

}  // namespace ft::ops
