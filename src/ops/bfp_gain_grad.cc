// Gradient of an int8 layer's gain in integers; gain_grad is its float twin,
// with the same attributes. The loops live in kernels/bfp_gain_grad/.
#include "kernels/bfp_gain_grad/bfp_gain_grad.h"

#include "kernels/gain_grad/gain_grad.h"
#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/conv_common.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

// x, w, dy, dy_exp, bias, h, h_exp, lora_b, lora_b_exp, w_delta, w_delta_exp,
// predicted. What the twin takes of it, but for the bias, which is int32.
TwinView twin_view(const NodeView& node) {
  return TwinView(node, {0, 1, 2, 12, 5, 7, 9});
}

bool is_depthwise(const NodeView& node) {
  return node.attrs->get_int("depthwise") != 0;
}

int64_t pixels_of(const NodeView& node) {
  return node.shape(2).num_elements() /
         std::max<int64_t>(1, node.shape(2).back());
}

Status check_layer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  if (node.shape(1).rank() != 2 && node.shape(1).rank() != 4)
    return node.error(
        fmt::format("w {} is of no layer", node.shape(1).to_string()));
  FT_TRY_STATUS(check_s8(node, 0, "x", false));
  FT_TRY_STATUS(check_s8(node, 1, "w", true, is_depthwise(node) ? 3 : 0));
  FT_TRY_STATUS(check_bfp(node, 2, 3));
  return check_state(node, 11);
}

Status check_sides(const NodeView& node, int64_t out_c) {
  if (node.has(4) &&
      (node.in(4).dtype != DType::kS32 || node.shape(4) != Shape{out_c}))
    return node.error(fmt::format("bias is {}, needs int32[{}]",
                                  node.in(4).to_string(), out_c));
  const int64_t pixels = pixels_of(node);
  if (pixels > 65536)
    return node.error(fmt::format("sums over {} pixels are too long", pixels));
  FT_TRY_STATUS(check_bfp_side(node, 5, pixels, out_c));
  if (node.has(5) && node.has(9)) return node.error("has both h and w_delta");
  return check_bfp_vector(node, 9, "w_delta", node.shape(1));
}

// The scale of each accumulator.
std::vector<double> unit_scales(const NodeView& node, int64_t out_c) {
  std::vector<double> scales;
  for (const float s : channel_scales(node.in(1), out_c))
    scales.push_back(static_cast<double>(s) * factor_of(node, 0));
  return scales;
}

double factor(const NodeView& node, const std::vector<double>& scales) {
  return *std::ranges::max_element(scales) * factor_of(node, 2);
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_layer(node));
  FT_TRY(const Shape dgain, twin_view(node).infer(kGainGrad));
  FT_TRY_STATUS(check_sides(node, dgain[0]));
  const auto scales = unit_scales(node, dgain[0]);
  return std::vector<TensorType>{
      bfp_type(dgain, split_factor(factor(node, scales)).factor),
      exponent_type()};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape& dgain = node.out(0).shape;
  FT_TRY(const auto twin, twin_view(node).params<ft_gain_grad_params>(
                              kGainGrad, context, dgain));
  const auto scales = unit_scales(node, dgain[0]);
  ft_bfp_gain_grad_params p{
      .conv = twin.conv,
      .w_out_step = twin.w_out_step,
      .w_tap_step = twin.w_tap_step,
      .exponent = split_factor(factor(node, scales)).exponent};
  p.conv.x_zero_point = node.in(0).quant.zero_point[0];
  lowered.set_params(p);
  lowered.scratch_bytes = static_cast<size_t>(dgain[0]) * sizeof(int64_t);
  std::vector<int32_t> share;
  for (const double s : scales)
    share.push_back(static_cast<int32_t>(
        std::lround(s / *std::ranges::max_element(scales) * 32768)));
  lowered.add_aux<int32_t>(share);
  if (node.has(5))
    add_accumulator_scales(node, dgain[0],
                           factor_of(node, 5) * factor_of(node, 7) *
                               node.attrs->get_real("lora_scaling", 1),
                           false, lowered);
  if (node.has(9))
    add_accumulator_scales(node, dgain[0], factor_of(node, 9), true, lowered);
  return ok_status();
}

int64_t macs(const NodeView& node) {
  const Shape& w = node.shape(1);
  const int64_t rank = node.has(5) ? node.shape(7)[1] : 0;
  return pixels_of(node) * (w.num_elements() + node.shape(2).back() * rank);
}

std::vector<OpExample> examples() {
  const TensorType e = exponent_type();
  const TensorType x8 = s8({1, 5, 4, 6}, 0.03f, 9);
  const Attrs same{{"pad_top", 1},
                   {"pad_left", 1},
                   {"pad_bottom", 1},
                   {"pad_right", 1},
                   {"lora_scaling", 0.5}};
  Attrs depthwise = same;
  depthwise.set("depthwise", int64_t{1});
  return {{.inputs = {s8({3, 20}, 0.04f, -11), s8({9, 20}, 0.01f, 0),
                      bfp_type({3, 9}, 1.2f), e}},
          {.inputs = {x8, s8_per_channel({5, 3, 3, 6}, 0),
                      bfp_type({1, 5, 4, 5}, 1), e, f32({}),
                      bfp_type({20, 3}, 1.7f), e, bfp_type({5, 3}, 1), e},
           .attrs = same,
           .absent = {4}},
          {.inputs = {x8, s8_per_channel({1, 3, 3, 6}, 3),
                      bfp_type({1, 5, 4, 6}, 1), e, f32({}), f32({}), f32({}),
                      f32({}), f32({}), bfp_type({1, 3, 3, 6}, 1.1f), e, e},
           .attrs = depthwise,
           .absent = {4, 5, 6, 7, 8}},
          {.inputs = {s8({1, 6, 6, 4}, 0.02f, 3), s8({6, 3, 3, 2}, 0.02f, 0),
                      bfp_type({1, 2, 2, 6}, 1), e},
           .attrs = {{"dilation_h", 2}, {"dilation_w", 2}},
           .note = "two groups"}};
}

constexpr KernelDef kKernels[] = {
    {"ft_bfp_gain_grad_c99", Isa::kC99, "s8,s8->s16", &ft_bfp_gain_grad_c99}};

}  // namespace

constinit const OpDef kBfpGainGrad = {.name = "bfp_gain_grad",
                                      .cost_class = CostClass::kReduction,
                                      .min_inputs = 4,
                                      .max_inputs = 12,
                                      .infer = infer,
                                      .lower = lower,
                                      .kernels = kKernels,
                                      .signature_inputs = 2,
                                      .mutates = 1u << 11,
                                      .macs = macs,
                                      .examples = examples};

}  // namespace ft::ops
