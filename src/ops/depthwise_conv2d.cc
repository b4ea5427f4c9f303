// All that the compiler knows of depthwise_conv2d and its gradients. The loops
// live in kernels/depthwise_conv2d/.
#include "kernels/depthwise_conv2d/depthwise_conv2d.h"

#include <algorithm>

#include "kernels/depthwise_conv2d/depthwise_lanes.h"
#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/depthwise_conv2d_examples.h"
#include "ops/depthwise_device.h"
#include "ops/division.h"
#include "ops/overlap.h"

namespace ft::ops {
namespace {

// w is [1, kh, kw, cout] with cout a multiple of `in_c`.
Status check_weight(const NodeView& node, int64_t in_c) {
  FT_TRY_STATUS(check_image(node, 1, "w"));
  const Shape& w = node.shape(1);
  if (w[0] == 1 && w[3] % in_c == 0) return ok_status();
  return node.error(
      fmt::format("w has shape {}, needs [1, kh, kw, a multiple of {}]",
                  w.to_string(), in_c));
}

Status check_delta(const NodeView& node, size_t i, DType dtype) {
  if (!node.has(i)) return ok_status();
  if (node.in(i).dtype == dtype && node.shape(i) == node.shape(1))
    return ok_status();
  return node.error(fmt::format("w_delta is {}, needs {}{}",
                                node.in(i).to_string(), name_of(dtype),
                                node.shape(1).to_string()));
}

// A float difference to an int32 bias; a float bias needs none.
Status check_bias_delta(const NodeView& node, DType y) {
  if (!node.has(4)) return ok_status();
  if (y != DType::kS8)
    return node.error("bias_delta belongs to an int8 output");
  if (node.in(4).dtype == DType::kF32 &&
      node.shape(4) == Shape{node.shape(1)[3]})
    return ok_status();
  return node.error(fmt::format("bias_delta is {}, needs float32[{}]",
                                node.in(4).to_string(), node.shape(1)[3]));
}

Status check_dy(const NodeView& node, size_t i, ImageSize in,
                ImageSize kernel) {
  FT_TRY_STATUS(check_image(node, i, "dy"));
  FT_TRY_STATUS(check_real(node, i));
  FT_TRY(const ImageSize out, conv_output_size(node, in, kernel));
  const Shape& dy = node.shape(i);
  if (out.h == dy[1] && out.w == dy[2]) return ok_status();
  return node.error(fmt::format("dy has shape {}, the output is {} x {}",
                                dy.to_string(), out.h, out.w));
}

ft_conv_params params_of(const NodeView& node, const Shape& x, const Shape& w,
                         const Shape& y) {
  return conv_params(node, {.batch = x[0],
                            .in_h = x[1],
                            .in_w = x[2],
                            .in_c = x[3],
                            .out_h = y[1],
                            .out_w = y[2],
                            .out_c = y[3],
                            .k_h = w[1],
                            .k_w = w[2],
                            .groups = x[3]});
}

// x [n, h, w, cin], w [1, kh, kw, cout]
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_image(node, 0, "x"));
  const Shape& x = node.shape(0);
  FT_TRY_STATUS(check_weight(node, x[3]));
  FT_TRY_STATUS(check_conv_attrs(node));
  const Shape& w = node.shape(1);
  FT_TRY(const ImageSize out,
         conv_output_size(node, {x[1], x[2]}, {w[1], w[2]}));
  const Shape y{x[0], out.h, out.w, w[3]};
  FT_TRY_STATUS(check_count(node, y));
  FT_TRY(const DType dtype, linear_output_dtype(node, 3, w[1] * w[2]));
  FT_TRY_STATUS(check_bias(node, w[3], dtype));
  FT_TRY_STATUS(
      check_delta(node, 3, dtype == DType::kS8 ? DType::kF32 : dtype));
  FT_TRY_STATUS(check_bias_delta(node, dtype));
  FT_TRY_STATUS(check_gain(node, w[3], dtype));
  return std::vector<TensorType>{{.dtype = dtype, .shape = y, .quant = {}}};
}

void gradient(GradientBuilder& g) {
  const ValueId x = g.input(0), w = g.input(1), delta = g.input(3);
  const Shape xs = g.shape(x), ws = g.shape(w);
  const ValueId dpre =
      emit_gain_and_bias_grads(g, emit_pre_activation_grad(g), true);
  const bool needs_delta = delta != kNone && g.needs_grad(3);
  if (g.needs_grad(1) || needs_delta) {
    Attrs attrs = geometry_attrs(g.attrs());
    attrs.set("k_h", ws[1]);
    attrs.set("k_w", ws[2]);
    const ValueId dw = g.emit(kDepthwiseConv2dWeightGrad, {x, dpre}, attrs);
    if (g.needs_grad(1)) g.set_input_grad(1, dw);
    if (needs_delta) g.set_input_grad(3, dw);
  }
  // Last: dx may take the place of x.
  if (g.needs_grad(0)) {
    Attrs attrs = geometry_attrs(g.attrs());
    attrs.set("in_h", xs[1]);
    attrs.set("in_w", xs[2]);
    attrs.set("in_c", xs[3]);
    g.set_input_grad(
        0, g.emit(kDepthwiseConv2dInputGrad, {dpre, w, delta}, attrs));
  }
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape& y = node.out(0).shape;
  ft_conv_params p = params_of(node, node.shape(0), node.shape(1), y);
  set_quant_params(node, p);
  lowered.set_params(p);
  if (node.out(0).dtype != DType::kS8) return ok_status();
  return add_requantization(node, y[3], true, lowered);
}

int64_t macs(const NodeView& node) {
  const Shape& w = node.shape(1);
  return node.out(0).shape.num_elements() * w[1] * w[2];
}

// dy [n, oh, ow, cout], w [1, kh, kw, cout], w_delta? -> dx [n, ih, iw, cin]
Result<std::vector<TensorType>> infer_input_grad(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_conv_attrs(node));
  FT_TRY(const int64_t in_h, size_attr(node, "in_h"));
  FT_TRY(const int64_t in_w, size_attr(node, "in_w"));
  FT_TRY(const int64_t in_c, size_attr(node, "in_c"));
  FT_TRY_STATUS(check_weight(node, in_c));
  const Shape& w = node.shape(1);
  FT_TRY_STATUS(check_dy(node, 0, {in_h, in_w}, {w[1], w[2]}));
  const Shape& dy = node.shape(0);
  if (dy[3] != w[3])
    return node.error(fmt::format("dy has {} channels, w has {}", dy[3], w[3]));
  const Shape dx{dy[0], in_h, in_w, in_c};
  FT_TRY_STATUS(check_count(node, dx));
  if (node.in(1).dtype == DType::kS8)
    FT_TRY_STATUS(check_s8(node, 1, "w", true, 3));
  else
    FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  FT_TRY_STATUS(check_delta(node, 2, node.in(0).dtype));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = dx, .quant = {}}};
}

Status lower_input_grad(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape& dy = node.shape(0);
  lowered.set_params(params_of(node, node.out(0).shape, node.shape(1), dy));
  if (node.in(1).dtype == DType::kS8)
    lowered.add_aux<float>(channel_scales(node.in(1), dy[3]));
  return ok_status();
}

int64_t macs_input_grad(const NodeView& node) {
  const Shape& w = node.shape(1);
  return node.shape(0).num_elements() * w[1] * w[2];
}

// x [n, ih, iw, cin], dy [n, oh, ow, cout] -> dw [1, kh, kw, cout]
Result<std::vector<TensorType>> infer_weight_grad(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_image(node, 0, "x"));
  FT_TRY_STATUS(check_conv_attrs(node));
  FT_TRY(const int64_t k_h, size_attr(node, "k_h"));
  FT_TRY(const int64_t k_w, size_attr(node, "k_w"));
  const Shape &x = node.shape(0), &dy = node.shape(1);
  FT_TRY_STATUS(check_dy(node, 1, {x[1], x[2]}, {k_h, k_w}));
  if (x[0] != dy[0] || dy[3] % x[3] != 0)
    return node.error(fmt::format("x {} and dy {} do not belong together",
                                  x.to_string(), dy.to_string()));
  const Shape dw{1, k_h, k_w, dy[3]};
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
  ft_conv_params p =
      params_of(node, node.shape(0), node.out(0).shape, node.shape(1));
  set_quant_params(node, p);
  lowered.set_params(p);
  return ok_status();
}

int64_t macs_weight_grad(const NodeView& node) {
  const Shape& dw = node.out(0).shape;
  return node.shape(1).num_elements() * dw[1] * dw[2];
}

bool accepts_hwy(const LowerContext&, const Lowered& lowered) {
  return ft_depthwise_conv2d_hwy_accepts(&lowered.params_as<ft_conv_params>());
}

Status prepare_hwy(const LowerContext&, Lowered& lowered) {
  lowered.scratch_bytes = ft_depthwise_conv2d_hwy_scratch_bytes(
      &lowered.params_as<ft_conv_params>());
  return ok_status();
}

#if defined(__x86_64__)
bool available_vnni() {
  return ft_depthwise_conv2d_s8_avx512vnni_available() != 0;
}

bool accepts_vnni(const LowerContext& context, const Lowered& lowered) {
  return has_constant_weights(context) &&
         ft_depthwise_conv2d_s8_avx512vnni_accepts(
             &lowered.params_as<ft_conv_params>());
}

void pack_vnni(const void* params, const int8_t* w, const int32_t* bias,
               const int32_t* multiplier, const int32_t* shift, void* packed,
               void* channels) {
  ft_depthwise_conv2d_s8_avx512vnni_pack(
      static_cast<const ft_conv_params*>(params), w, bias, multiplier, shift,
      packed, channels);
}

void pack_vnni_beside(const void* params, const int8_t* w, const int32_t* bias,
                      const int32_t* multiplier, const int32_t* shift,
                      void* packed, void* channels) {
  ft_depthwise_conv2d_s8_avx512vnni_pack_beside(
      static_cast<const ft_conv_params*>(params), w, bias, multiplier, shift,
      packed, channels);
}

Status prepare_vnni(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_conv_params>();
  const NodeView& node = context.view;
  const bool has_side = node.has(3) || node.has(4);
  add_packed_weights(context,
                     ft_depthwise_conv2d_s8_avx512vnni_packed_bytes(&p),
                     ft_depthwise_conv2d_s8_avx512vnni_channels_bytes(&p),
                     has_side ? pack_vnni_beside : pack_vnni, lowered);
  const bool bias_outside = node.has(5) && node.has(2) && p.gain_bias == 0;
  lowered.scratch_bytes = ft_depthwise_conv2d_s8_avx512vnni_scratch_bytes(
      &p, node.has(3), node.has(4) + node.has(5) + bias_outside);
  return ok_status();
}
#endif

constexpr double kTolerance = 1e-5;
constexpr KernelDef kKernels[] = {
    {"ft_depthwise_conv2d_s8_helium", Isa::kHelium, "s8,s8->s8", nullptr,
     depthwise_device::accepts_helium, depthwise_device::prepare_helium},
    {"ft_depthwise_conv2d_side_s8_helium", Isa::kHelium, "s8,s8->s8", nullptr,
     depthwise_device::accepts_side, depthwise_device::prepare_side},
    {"ft_depthwise_conv2d_s8_armdsp", Isa::kArmDsp, "s8,s8->s8", nullptr,
     depthwise_device::accepts_plain, depthwise_device::prepare_armdsp},
    {"ft_depthwise_conv2d_side_s8_armdsp", Isa::kArmDsp, "s8,s8->s8", nullptr,
     depthwise_device::accepts_side, depthwise_device::prepare_side},
#if defined(__x86_64__)
    {"ft_depthwise_conv2d_s8_avx512vnni", Isa::kAvx512Vnni, "s8,s8->s8",
     &ft_depthwise_conv2d_s8_avx512vnni, accepts_vnni, prepare_vnni, 0,
     available_vnni},
#endif
    {"ft_depthwise_conv2d_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_depthwise_conv2d_f32_hwy, accepts_hwy, prepare_hwy, kTolerance},
    {"ft_depthwise_conv2d_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_depthwise_conv2d_f32_c99},
    {"ft_depthwise_conv2d_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_depthwise_conv2d_f64_c99},
    {"ft_depthwise_conv2d_s8_c99", Isa::kC99, "s8,s8->s8",
     &ft_depthwise_conv2d_s8_c99},
    {"ft_depthwise_conv2d_s8f32_c99", Isa::kC99, "s8,f32->f32",
     &ft_depthwise_conv2d_s8f32_c99},
};

constexpr KernelDef kInputGradKernels[] = {
    {"ft_depthwise_conv2d_input_grad_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_depthwise_conv2d_input_grad_f32_hwy, accepts_hwy, prepare_hwy,
     kTolerance},
    {"ft_depthwise_conv2d_input_grad_f32s8_hwy", Isa::kHighway, "f32,s8->f32",
     &ft_depthwise_conv2d_input_grad_f32s8_hwy, accepts_hwy, prepare_hwy,
     kTolerance},
    {"ft_depthwise_conv2d_input_grad_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_depthwise_conv2d_input_grad_f32_c99},
    {"ft_depthwise_conv2d_input_grad_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_depthwise_conv2d_input_grad_f64_c99},
    {"ft_depthwise_conv2d_input_grad_f32s8_c99", Isa::kC99, "f32,s8->f32",
     &ft_depthwise_conv2d_input_grad_f32s8_c99},
};

constexpr KernelDef kWeightGradKernels[] = {
    {"ft_depthwise_conv2d_weight_grad_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_depthwise_conv2d_weight_grad_f32_hwy, accepts_hwy, nullptr,
     kTolerance},
    {"ft_depthwise_conv2d_weight_grad_s8f32_hwy", Isa::kHighway, "s8,f32->f32",
     &ft_depthwise_conv2d_weight_grad_s8f32_hwy, accepts_hwy, nullptr,
     kTolerance},
    {"ft_depthwise_conv2d_weight_grad_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_depthwise_conv2d_weight_grad_f32_c99},
    {"ft_depthwise_conv2d_weight_grad_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_depthwise_conv2d_weight_grad_f64_c99},
    {"ft_depthwise_conv2d_weight_grad_s8f32_c99", Isa::kC99, "s8,f32->f32",
     &ft_depthwise_conv2d_weight_grad_s8f32_c99},
};

// Pixels that share a vector, image rows that share a copy; the rows of Highway
// keep sums of several output rows.
Overlap overlap(const KernelDef& row, const LowerContext& context,
                const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv_params>();
  switch (row.isa) {
    case Isa::kC99:
    case Isa::kArmDsp: return windows_overlap(context.view, p, 1);
    case Isa::kHelium:
      return windows_overlap(context.view, p, ft_depthwise_lanes_pixels(&p));
    case Isa::kAvx512Vnni: return windows_overlap(context.view, p, p.out_w);
    default: return {};
  }
}

// Output pixels. Helium's row of a layer alone walks rows of the image.
Division divide_pixels(const KernelDef& row, const NodeView& /*node*/,
                       const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv_params>();
  if (row.symbol == "ft_depthwise_conv2d_s8_helium") return {};
  return in_units(ft_num_pixels(&p));
}

}  // namespace

constinit const OpDef kDepthwiseConv2d = {
    .name = "depthwise_conv2d",
    .cost_class = CostClass::kDepthwise,
    .min_inputs = 2,
    .max_inputs = 6,
    .infer = infer,
    .gradient = gradient,
    .lower = lower,
    .kernels = kKernels,
    .signature_inputs = 2,
    .overlap = overlap,
    .divide = divide_pixels,
    .macs = macs,
    .examples = depthwise_conv2d_examples};

constinit const OpDef kDepthwiseConv2dInputGrad = {
    .name = "depthwise_conv2d_input_grad",
    .cost_class = CostClass::kDepthwise,
    .min_inputs = 2,
    .max_inputs = 3,
    .infer = infer_input_grad,
    .lower = lower_input_grad,
    .kernels = kInputGradKernels,
    .signature_inputs = 2,
    .divide = divide_pixels,
    .macs = macs_input_grad,
    .examples = depthwise_input_grad_examples};

constinit const OpDef kDepthwiseConv2dWeightGrad = {
    .name = "depthwise_conv2d_weight_grad",
    .cost_class = CostClass::kDepthwise,
    .min_inputs = 2,
    .max_inputs = 2,
    .infer = infer_weight_grad,
    .lower = lower_weight_grad,
    .kernels = kWeightGradKernels,
    .signature_inputs = 2,
    .divide = divide_pixels,
    .macs = macs_weight_grad,
    .examples = depthwise_weight_grad_examples};

}  // namespace ft::ops
