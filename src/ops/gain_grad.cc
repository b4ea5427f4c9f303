// Gradient of the per-channel gain of conv2d, depthwise_conv2d and
// fully_connected. The loops live in kernels/gain_grad/.
//
// Attributes: those of the layer, and depthwise (1: w is [1, kh, kw, cout]).
#include "kernels/gain_grad/gain_grad.h"

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

// The layer as a convolution, whatever it is.
Result<ConvSizes> sizes_of(const NodeView& node) {
  const Shape &x = node.shape(0), &w = node.shape(1), &dy = node.shape(2);
  const int64_t count = x.num_elements();
  if (w.rank() == 2) {
    if (w[0] < 1 || w[1] < 1 || count == 0 || count % w[1] != 0 ||
        dy.rank() < 1 || dy.back() != w[0] ||
        dy.num_elements() != count / w[1] * w[0])
      return node.error(fmt::format("x {}, w {} and dy {} do not form a layer",
                                    x.to_string(), w.to_string(),
                                    dy.to_string()));
    return ConvSizes{count / w[1], 1, 1, w[1], 1, 1, w[0], 1, 1, 1};
  }
  FT_TRY_STATUS(check_image(node, 0, "x"));
  FT_TRY_STATUS(check_image(node, 1, "w"));
  FT_TRY_STATUS(check_image(node, 2, "dy"));
  FT_TRY_STATUS(check_conv_attrs(node));
  FT_TRY(const ImageSize out,
         conv_output_size(node, {x[1], x[2]}, {w[1], w[2]}));
  const bool depthwise = node.attrs->get_int("depthwise") != 0;
  const int64_t out_c = depthwise ? w[3] : w[0];
  const bool fits = depthwise ? w[0] == 1 && out_c % x[3] == 0
                              : x[3] % w[3] == 0 && out_c % (x[3] / w[3]) == 0;
  if (!fits || dy != Shape{x[0], out.h, out.w, out_c})
    return node.error(fmt::format("x {}, w {} and dy {} do not form a layer",
                                  x.to_string(), w.to_string(),
                                  dy.to_string()));
  return ConvSizes{x[0],  x[1],  x[2], x[3], out.h,
                   out.w, out_c, w[1], w[2], depthwise ? x[3] : x[3] / w[3]};
}

Status check_input(const NodeView& node, size_t i, DType dtype,
                   const Shape& shape) {
  if (!node.has(i) || (node.in(i).dtype == dtype && node.shape(i) == shape))
    return ok_status();
  return node.error(fmt::format("input {} is {}, needs {}{}", i,
                                node.in(i).to_string(), name_of(dtype),
                                shape.to_string()));
}

int64_t rank_at(const NodeView& node) {
  return node.has(5) && node.shape(5).rank() == 2 ? node.shape(5)[1] : 0;
}

Status check_sides(const NodeView& node, const ConvSizes& s) {
  const DType real = node.in(2).dtype;
  const bool is_int8 = node.in(1).dtype == DType::kS8;
  FT_TRY_STATUS(check_input(node, 3, is_int8 ? DType::kS32 : real, {s.out_c}));
  if (node.has(4) != node.has(5))
    return node.error("h and lora_b must be given together");
  const int64_t r = rank_at(node), rows = s.batch * s.out_h * s.out_w;
  FT_TRY_STATUS(check_input(node, 5, real, {s.out_c, r}));
  if (node.has(4) &&
      (r < 1 || node.in(4).dtype != real || node.shape(4).rank() < 1 ||
       node.shape(4).back() != r || node.shape(4).num_elements() != rows * r))
    return node.error(fmt::format("h is {}, needs {} rows of {}",
                                  node.in(4).to_string(), rows, r));
  if (node.has(6) && node.attrs->get_int("depthwise") == 0)
    return node.error("w_delta belongs to a depthwise layer");
  return check_input(node, 6, real, node.shape(1));
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 2));
  FT_TRY(const ConvSizes s, sizes_of(node));
  const int axis = node.attrs->get_int("depthwise") != 0 ? 3 : 0;
  FT_TRY(const DType sum,
         linear_output_dtype(node, axis, s.k_h * s.k_w * s.in_c / s.groups));
  if (sum != DType::kS8 && sum != node.in(2).dtype)
    return node.error(fmt::format("w is {}, but dy {}", node.in(1).to_string(),
                                  node.in(2).to_string()));
  FT_TRY_STATUS(check_sides(node, s));
  return std::vector<TensorType>{
      {.dtype = node.in(2).dtype, .shape = {s.out_c}, .quant = {}}};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const TensorType &x = node.in(0), &w = node.in(1);
  FT_TRY(const ConvSizes s, sizes_of(node));
  const bool depthwise = node.attrs->get_int("depthwise") != 0;
  const int64_t run = s.in_c / s.groups;
  ft_gain_grad_params p{
      .conv = conv_params(node, s),
      .w_out_step = static_cast<int32_t>(depthwise ? 1 : s.k_h * s.k_w * run),
      .w_tap_step = static_cast<int32_t>(depthwise ? s.out_c : run)};
  p.conv.rank = static_cast<int32_t>(rank_at(node));
  if (x.dtype == DType::kS8) {
    p.conv.x_scale = x.quant.scale[0];
    p.conv.x_zero_point = x.quant.zero_point[0];
  }
  lowered.set_params(p);
  if (w.dtype != DType::kS8) return ok_status();
  std::vector<float> scales = channel_scales(w, s.out_c);
  for (float& scale : scales) scale *= x.quant.scale[0];
  lowered.add_aux<float>(scales);
  return ok_status();
}

int64_t macs(const NodeView& node) {
  const Shape& w = node.shape(1);
  return node.shape(2).num_elements() *
         (w.num_elements() / node.out(0).shape[0] + rank_at(node));
}

std::vector<OpExample> examples() {
  const Attrs same{{"pad_top", 1},
                   {"pad_left", 1},
                   {"pad_bottom", 1},
                   {"pad_right", 1},
                   {"lora_scaling", 0.5}};
  Attrs depthwise = same;
  depthwise.set("depthwise", int64_t{1});
  const TensorType x8 = s8({1, 5, 4, 6}, 0.03f, 9);
  return {
      {.inputs = {f32({3, 10}), f32({4, 10}), f32({3, 4}), f32({4})}},
      {.inputs = {f32({2, 2, 5}), f32({7, 5}), f32({4, 7}), f32({7}),
                  f32({4, 2}), f32({7, 2})},
       .attrs = {{"lora_scaling", 2.0}},
       .absent = {3}},
      {.inputs = {f32({2, 5, 4, 3}), f32({5, 3, 3, 3}), f32({2, 5, 4, 5}),
                  f32({5}), f32({2, 5, 4, 2}), f32({5, 2})},
       .attrs = same},
      {.inputs = {f32({1, 6, 6, 4}), f32({6, 3, 3, 2}), f32({1, 2, 2, 6})},
       .attrs = {{"dilation_h", 2}, {"dilation_w", 2}},
       .note = "two groups"},
      {.inputs = {f32({1, 5, 4, 3}), f32({1, 3, 3, 6}), f32({1, 5, 4, 6}),
                  f32({6}), f32({}), f32({}), f32({1, 3, 3, 6})},
       .attrs = depthwise,
       .absent = {4, 5}},
      {.inputs = {x8, s8_per_channel({5, 3, 3, 6}, 0), f32({1, 5, 4, 5}),
                  s32({5}), f32({20, 3}), f32({5, 3})},
       .attrs = same},
      {.inputs = {x8, s8_per_channel({1, 3, 3, 6}, 3), f32({1, 5, 4, 6}),
                  s32({6}), f32({}), f32({}), f32({1, 3, 3, 6})},
       .attrs = depthwise,
       .absent = {4, 5}},
      {.inputs = {f32({1, 6, 7, 9}), f32({37, 2, 2, 9}), f32({1, 5, 6, 37}),
                  f32({37}), f32({30, 3}), f32({37, 3})},
       .attrs = {{"lora_scaling", 0.5}},
       .note = "more outputs than a block has"},
      {.inputs = {f32({2, 5, 4, 17}), f32({1, 3, 3, 17}), f32({2, 5, 4, 17}),
                  f32({17}), f32({}), f32({}), f32({1, 3, 3, 17})},
       .attrs = depthwise,
       .absent = {4, 5}},
      {.inputs = {s8({1, 5, 4, 16}, 0.03f, 9), s8_per_channel({1, 3, 3, 16}, 3),
                  f32({1, 5, 4, 16}), s32({16}), f32({}), f32({}),
                  f32({1, 3, 3, 16})},
       .attrs = depthwise,
       .absent = {4, 5}},
      {.inputs = {s8({3, 20}, 0.04f, -11), s8({9, 20}, 0.01f, 0), f32({3, 9})}},
      {.inputs = {s8({3, 20}, 0.04f, -11), f32({5, 20}), f32({3, 5}),
                  f32({5})}}};
}

bool accepts_hwy(const LowerContext&, const Lowered& lowered) {
  return ft_gain_grad_hwy_accepts(&lowered.params_as<ft_gain_grad_params>()) !=
         0;
}

Status prepare_hwy(const LowerContext&, Lowered& lowered) {
  lowered.scratch_bytes =
      ft_gain_grad_hwy_scratch_bytes(&lowered.params_as<ft_gain_grad_params>());
  return ok_status();
}

constexpr double kTolerance = 1e-5;
constexpr KernelDef kKernels[] = {
    {"ft_gain_grad_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_gain_grad_f32_hwy, accepts_hwy, prepare_hwy, kTolerance},
    {"ft_gain_grad_s8_hwy", Isa::kHighway, "s8,s8->f32", &ft_gain_grad_s8_hwy,
     accepts_hwy, prepare_hwy, kTolerance},
    {"ft_gain_grad_s8f32_hwy", Isa::kHighway, "s8,f32->f32",
     &ft_gain_grad_s8f32_hwy, accepts_hwy, prepare_hwy, kTolerance},
    {"ft_gain_grad_f32_c99", Isa::kC99, "f32,f32->f32", &ft_gain_grad_f32_c99},
    {"ft_gain_grad_f64_c99", Isa::kC99, "f64,f64->f64", &ft_gain_grad_f64_c99},
    {"ft_gain_grad_s8_c99", Isa::kC99, "s8,s8->f32", &ft_gain_grad_s8_c99},
    {"ft_gain_grad_s8f32_c99", Isa::kC99, "s8,f32->f32",
     &ft_gain_grad_s8f32_c99},
};

}  // namespace

constinit const OpDef kGainGrad = {.name = "gain_grad",
                                   .cost_class = CostClass::kReduction,
                                   .min_inputs = 3,
                                   .max_inputs = 7,
                                   .infer = infer,
                                   .lower = lower,
                                   .kernels = kKernels,
                                   .signature_inputs = 2,
                                   .macs = macs,
                                   .examples = examples};

}  // namespace ft::ops
