// Gradients of conv2d with respect to its image and its weights. Not
// differentiable themselves: fieldtune trains with first-order gradients.

#include <utility>

#include "kernels/conv2d/conv2d.h"
#include "kernels/quant/s8_pairs.h"
#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/division.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

Status check_groups(const NodeView& node, int64_t groups, int64_t in_c,
                    int64_t out_c) {
  if (in_c % groups == 0 && out_c % groups == 0) return ok_status();
  return node.error(
      fmt::format("{} input and {} output channels do not form {} groups", in_c,
                  out_c, groups));
}

Status check_dy_size(const NodeView& node, const Shape& dy, ImageSize in,
                     ImageSize kernel) {
  FT_TRY(const ImageSize out, conv_output_size(node, in, kernel));
  if (out.h == dy[1] && out.w == dy[2]) return ok_status();
  return node.error(fmt::format("dy has shape {}, the output is {} x {}",
                                dy.to_string(), out.h, out.w));
}

// dy [n, oh, ow, cout], w [cout, kh, kw, cin / groups] -> dx [n, ih, iw, cin]
Result<std::vector<TensorType>> infer_input_grad(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_image(node, 0, "dy"));
  FT_TRY_STATUS(check_image(node, 1, "w"));
  FT_TRY_STATUS(check_conv_attrs(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY(const int64_t in_h, size_attr(node, "in_h"));
  FT_TRY(const int64_t in_w, size_attr(node, "in_w"));
  FT_TRY(const int64_t groups, size_attr(node, "groups"));
  const Shape &dy = node.shape(0), &w = node.shape(1);
  if (dy[3] != w[0])
    return node.error(
        fmt::format("dy has {} channels, w has {} outputs", dy[3], w[0]));
  FT_TRY_STATUS(check_dy_size(node, dy, {in_h, in_w}, {w[1], w[2]}));
  const Shape dx{dy[0], in_h, in_w, w[3] * groups};
  FT_TRY_STATUS(check_count(node, dx));
  FT_TRY_STATUS(check_groups(node, groups, dx[3], w[0]));
  if (node.in(1).dtype == DType::kS8)
    FT_TRY_STATUS(check_s8(node, 1, "w", true, 0));
  else
    FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = dx, .quant = {}}};
}

ConvSizes input_grad_sizes(const NodeView& node) {
  const Shape &dy = node.shape(0), &w = node.shape(1), &dx = node.out(0).shape;
  return {.batch = dx[0],
          .in_h = dx[1],
          .in_w = dx[2],
          .in_c = dx[3],
          .out_h = dy[1],
          .out_w = dy[2],
          .out_c = dy[3],
          .k_h = w[1],
          .k_w = w[2],
          .groups = dx[3] / w[3]};
}

Status lower_input_grad(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const ConvSizes sizes = input_grad_sizes(node);
  lowered.set_params(conv_params(node, sizes));
  if (node.in(1).dtype == DType::kS8)
    lowered.add_aux<float>(channel_scales(node.in(1), sizes.out_c));
  return ok_status();
}

int64_t macs_input_grad(const NodeView& node) {
  const Shape& w = node.shape(1);
  return node.shape(0).num_elements() * w[1] * w[2] * w[3];
}

// x [n, ih, iw, cin], dy [n, oh, ow, cout] -> dw [cout, kh, kw, cin / groups]
Result<std::vector<TensorType>> infer_weight_grad(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_image(node, 0, "x"));
  FT_TRY_STATUS(check_image(node, 1, "dy"));
  FT_TRY_STATUS(check_conv_attrs(node));
  FT_TRY_STATUS(check_real(node, 1));
  FT_TRY(const int64_t k_h, size_attr(node, "k_h"));
  FT_TRY(const int64_t k_w, size_attr(node, "k_w"));
  FT_TRY(const int64_t groups, size_attr(node, "groups"));
  const Shape &x = node.shape(0), &dy = node.shape(1);
  if (x[0] != dy[0])
    return node.error(fmt::format("x has {} images, dy has {}", x[0], dy[0]));
  FT_TRY_STATUS(check_dy_size(node, dy, {x[1], x[2]}, {k_h, k_w}));
  FT_TRY_STATUS(check_groups(node, groups, x[3], dy[3]));
  const Shape dw{dy[3], k_h, k_w, x[3] / groups};
  FT_TRY_STATUS(check_count(node, dw));
  if (node.in(0).dtype == DType::kS8)
    FT_TRY_STATUS(check_s8(node, 0, "x", false));
  else
    FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  return std::vector<TensorType>{
      {.dtype = node.in(1).dtype, .shape = dw, .quant = {}}};
}

Status lower_weight_grad(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape &x = node.shape(0), &dy = node.shape(1), &dw = node.out(0).shape;
  ft_conv_params p = conv_params(node, {.batch = x[0],
                                        .in_h = x[1],
                                        .in_w = x[2],
                                        .in_c = x[3],
                                        .out_h = dy[1],
                                        .out_w = dy[2],
                                        .out_c = dy[3],
                                        .k_h = dw[1],
                                        .k_w = dw[2],
                                        .groups = x[3] / dw[3]});
  set_quant_params(node, p);
  lowered.set_params(p);
  return ok_status();
}

int64_t macs_weight_grad(const NodeView& node) {
  const Shape& dw = node.out(0).shape;
  return node.shape(1).num_elements() * dw[1] * dw[2] * dw[3];
}

std::vector<OpExample> examples_input_grad() {
  const Attrs strided{{"in_h", 5},     {"in_w", 7},    {"groups", 1},
                      {"stride_h", 2}, {"pad_top", 1}, {"pad_bottom", 1}};
  const Attrs pointwise{{"in_h", 3}, {"in_w", 4}, {"groups", 1}};
  return {
      {.inputs = {f32({2, 3, 6, 4}), f32({4, 3, 2, 3})}, .attrs = strided},
      {.inputs = {f32({2, 3, 6, 4}), s8_per_channel({4, 3, 2, 3}, 0)},
       .attrs = strided},
      {.inputs = {f32({2, 3, 4, 19}), f32({19, 1, 1, 7})}, .attrs = pointwise},
      {.inputs = {f32({2, 3, 4, 19}), s8_per_channel({19, 1, 1, 7}, 0)},
       .attrs = pointwise},
      {.inputs = {f32({1, 3, 6, 7}), s8_per_channel({7, 3, 2, 8}, 0)},
       .attrs = strided,
       .note = "rows of 16 weights, four, two and one channel"},
      {.inputs = {f32({1, 2, 2, 6}), f32({6, 3, 3, 2})},
       .attrs = {{"in_h", 6},
                 {"in_w", 6},
                 {"groups", 2},
                 {"dilation_h", 2},
                 {"dilation_w", 2}}},
      {.inputs = {f32({1, 3, 2, 5}), s8({5, 1, 1, 4}, 0.01f, 0)},
       .attrs = {{"in_h", 5},
                 {"in_w", 4},
                 {"groups", 1},
                 {"stride_h", 2},
                 {"stride_w", 2}}}};
}

std::vector<OpExample> examples_weight_grad() {
  const Attrs strided{{"k_h", 3},      {"k_w", 2},     {"groups", 1},
                      {"stride_h", 2}, {"pad_top", 1}, {"pad_bottom", 1}};
  const Attrs pointwise{{"k_h", 1}, {"k_w", 1}, {"groups", 1}};
  return {
      {.inputs = {f32({2, 5, 7, 3}), f32({2, 3, 6, 4})}, .attrs = strided},
      {.inputs = {s8({2, 5, 7, 3}, 0.04f, -9), f32({2, 3, 6, 4})},
       .attrs = strided},
      {.inputs = {f32({2, 3, 4, 7}), f32({2, 3, 4, 19})}, .attrs = pointwise},
      {.inputs = {s8({2, 3, 4, 7}, 0.04f, 30), f32({2, 3, 4, 19})},
       .attrs = pointwise},
      {.inputs = {f32({1, 6, 6, 4}), f32({1, 2, 2, 6})},
       .attrs = {{"k_h", 3},
                 {"k_w", 3},
                 {"groups", 2},
                 {"dilation_h", 2},
                 {"dilation_w", 2}}},
      {.inputs = {f32({1, 5, 4, 4}), f32({1, 3, 2, 5})},
       .attrs = {{"k_h", 1},
                 {"k_w", 1},
                 {"groups", 1},
                 {"stride_h", 2},
                 {"stride_w", 2}}}};
}

bool has_one_group(const LowerContext&, const Lowered& lowered) {
  return lowered.params_as<ft_conv_params>().groups == 1;
}

Status prepare_input_grad_hwy(const LowerContext& context, Lowered& lowered) {
  lowered.scratch_bytes = ft_conv2d_input_grad_hwy_scratch_bytes(
      &lowered.params_as<ft_conv_params>(),
      context.view.in(1).dtype == DType::kS8);
  return ok_status();
}

Status prepare_weight_grad_hwy(const LowerContext&, Lowered& lowered) {
  lowered.scratch_bytes = ft_conv2d_weight_grad_hwy_scratch_bytes(
      &lowered.params_as<ft_conv_params>());
  return ok_status();
}

// Weights as the forward rows of devices hold them, so that flash holds them
// once: in pairs, or for Helium as they are where no row of them is padded.
bool accepts_pairs(const LowerContext& context, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv_params>();
  const std::span<const std::byte> w = context.constant(1);
  return p.groups == 1 && p.in_c % 4 == 0 && !w.empty() &&
         ft_can_pack_pairs(reinterpret_cast<const int8_t*>(w.data()), p.out_c,
                           p.k_h * p.k_w * p.in_c) != 0;
}

bool accepts_rows_of_16(const LowerContext& context, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv_params>();
  return p.groups == 1 && p.k_h * p.k_w * p.in_c % 16 == 0 &&
         !context.constant(1).empty();
}

Status prepare_pairs(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_conv_params>();
  const int32_t k = p.k_h * p.k_w * p.in_c;
  std::vector<std::byte> packed(ft_pack_pairs_bytes(p.out_c, k));
  ft_pack_pairs(reinterpret_cast<const int8_t*>(context.constant(1).data()),
                p.out_c, k, reinterpret_cast<int8_t*>(packed.data()));
  lowered.aux.push_back({std::move(packed)});
  return ok_status();
}

constexpr double kTolerance = 1e-5;
constexpr KernelDef kInputGradKernels[] = {
    {"ft_conv2d_input_grad_f32s8_helium", Isa::kHelium, "f32,s8->f32", nullptr,
     accepts_rows_of_16},
    {"ft_conv2d_input_grad_f32s8_armdsp", Isa::kArmDsp, "f32,s8->f32", nullptr,
     accepts_pairs, prepare_pairs},
    {"ft_conv2d_input_grad_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_conv2d_input_grad_f32_hwy, has_one_group, prepare_input_grad_hwy,
     kTolerance},
    {"ft_conv2d_input_grad_f32s8_hwy", Isa::kHighway, "f32,s8->f32",
     &ft_conv2d_input_grad_f32s8_hwy, has_one_group, prepare_input_grad_hwy,
     kTolerance},
    {"ft_conv2d_input_grad_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_conv2d_input_grad_f32_c99},
    {"ft_conv2d_input_grad_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_conv2d_input_grad_f64_c99},
    {"ft_conv2d_input_grad_f32s8_c99", Isa::kC99, "f32,s8->f32",
     &ft_conv2d_input_grad_f32s8_c99},
};

constexpr KernelDef kWeightGradKernels[] = {
    {"ft_conv2d_weight_grad_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_conv2d_weight_grad_f32_hwy, has_one_group, prepare_weight_grad_hwy,
     kTolerance},
    {"ft_conv2d_weight_grad_s8f32_hwy", Isa::kHighway, "s8,f32->f32",
     &ft_conv2d_weight_grad_s8f32_hwy, has_one_group, prepare_weight_grad_hwy,
     kTolerance},
    {"ft_conv2d_weight_grad_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_conv2d_weight_grad_f32_c99},
    {"ft_conv2d_weight_grad_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_conv2d_weight_grad_f64_c99},
    {"ft_conv2d_weight_grad_s8f32_c99", Isa::kC99, "s8,f32->f32",
     &ft_conv2d_weight_grad_s8f32_c99},
};

// Pixels of dy.
Division divide_pixels(const KernelDef& /*row*/, const NodeView& /*node*/,
                       const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv_params>();
  return in_units(ft_num_pixels(&p));
}

}  // namespace

constinit const OpDef kConv2dInputGrad = {.name = "conv2d_input_grad",
                                          .cost_class = CostClass::kMatrix,
                                          .min_inputs = 2,
                                          .max_inputs = 2,
                                          .infer = infer_input_grad,
                                          .lower = lower_input_grad,
                                          .kernels = kInputGradKernels,
                                          .signature_inputs = 2,
                                          .divide = divide_pixels,
                                          .macs = macs_input_grad,
                                          .examples = examples_input_grad};

constinit const OpDef kConv2dWeightGrad = {.name = "conv2d_weight_grad",
                                           .cost_class = CostClass::kMatrix,
                                           .min_inputs = 2,
                                           .max_inputs = 2,
                                           .infer = infer_weight_grad,
                                           .lower = lower_weight_grad,
                                           .kernels = kWeightGradKernels,
                                           .signature_inputs = 2,
                                           .divide = divide_pixels,
                                           .macs = macs_weight_grad,
                                           .examples = examples_weight_grad};

}  // namespace ft::ops
