// All that the compiler knows of transpose_conv2d. The loops live in
// kernels/transpose_conv2d/.
//
// Attributes: stride_h, stride_w, pad_top, pad_left, out_h, out_w, act. The
// output size must be one that a convolution of the same kernel, stride and
// padding maps back to x's size, so that the gradients are convolutions.
#include "kernels/transpose_conv2d/transpose_conv2d.h"

#include <algorithm>

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

// One axis: the padding behind the image that makes a convolution of `out`
// positions give `in`; it does for out = (in - 1) * stride + kernel - before
// - after, and up to stride - 1 more.
struct Axis {
  int64_t in, out, kernel, stride, before;
  int64_t after() const {
    return std::max<int64_t>(0, (in - 1) * stride + kernel - out - before);
  }
};

Axis axis_of(const Attrs& attrs, bool h, const Shape& x, const Shape& w) {
  return {.in = x[h ? 1 : 2],
          .out = attrs.get_int(h ? "out_h" : "out_w"),
          .kernel = w[h ? 1 : 2],
          .stride = attrs.get_int(h ? "stride_h" : "stride_w", 1),
          .before = attrs.get_int(h ? "pad_top" : "pad_left")};
}

Status check_axis(const NodeView& node, bool h) {
  const Axis a = axis_of(*node.attrs, h, node.shape(0), node.shape(1));
  const int64_t room = a.out + a.before + a.after() - a.kernel;
  if (room >= 0 && room / a.stride + 1 == a.in) return ok_status();
  return node.error(fmt::format(
      "output {} of {} does not come from input {} with kernel {}, stride {} "
      "and padding {}",
      h ? "height" : "width", a.out, a.in, a.kernel, a.stride, a.before));
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_image(node, 0, "x"));
  FT_TRY_STATUS(check_image(node, 1, "w"));
  FT_TRY_STATUS(check_conv_attrs(node));
  FT_TRY(const int64_t out_h, size_attr(node, "out_h"));
  FT_TRY(const int64_t out_w, size_attr(node, "out_w"));
  const Shape &x = node.shape(0), &w = node.shape(1);
  if (x[3] != w[3])
    return node.error(fmt::format("x has {} channels, w has {}", x[3], w[3]));
  FT_TRY_STATUS(check_axis(node, true));
  FT_TRY_STATUS(check_axis(node, false));
  const Shape y{x[0], out_h, out_w, w[0]};
  FT_TRY_STATUS(check_count(node, y));
  FT_TRY(const DType dtype, linear_output_dtype(node, 0, w[1] * w[2] * w[3]));
  if (node.in(0).dtype != node.in(1).dtype)
    return node.error("int8 x needs int8 w");
  FT_TRY_STATUS(check_bias(node, w[0], dtype));
  return std::vector<TensorType>{{.dtype = dtype, .shape = y, .quant = {}}};
}

// [cout, kh, kw, cin] <-> [cin, kh, kw, cout]
ValueId emit_swapped(GradientBuilder& g, ValueId w) {
  return g.emit(kTranspose, {w}, {{"perm", std::vector<int64_t>{3, 1, 2, 0}}});
}

// y is the input gradient of a convolution with swapped weights, so dx is that
// convolution of dy, and dw is its weight gradient with x and dy swapped.
void gradient(GradientBuilder& g) {
  const Shape xs = g.shape(g.input(0)), ws = g.shape(g.input(1));
  const ValueId dpre = emit_pre_activation_grad(g);
  const Axis h = axis_of(g.attrs(), true, xs, ws);
  const Axis w = axis_of(g.attrs(), false, xs, ws);
  Attrs attrs{{"stride_h", h.stride},    {"stride_w", w.stride},
              {"pad_top", h.before},     {"pad_left", w.before},
              {"pad_bottom", h.after()}, {"pad_right", w.after()}};
  if (g.needs_grad(0)) {
    const ValueId swapped = emit_swapped(g, emit_real(g, g.input(1)));
    g.set_input_grad(0, g.emit(kConv2d, {dpre, swapped}, attrs));
  }
  if (g.needs_grad(1)) {
    attrs.set("k_h", ws[1]);
    attrs.set("k_w", ws[2]);
    attrs.set("groups", int64_t{1});
    const ValueId dw =
        g.emit(kConv2dWeightGrad, {dpre, emit_real(g, g.input(0))}, attrs);
    g.set_input_grad(1, emit_swapped(g, dw));
  }
  set_bias_grad(g, dpre);
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape &x = node.shape(0), &w = node.shape(1), &y = node.out(0).shape;
  ft_transpose_conv2d_params p = conv_params(node, {.batch = x[0],
                                                    .in_h = x[1],
                                                    .in_w = x[2],
                                                    .in_c = x[3],
                                                    .out_h = y[1],
                                                    .out_w = y[2],
                                                    .out_c = y[3],
                                                    .k_h = w[1],
                                                    .k_w = w[2],
                                                    .groups = 1});
  set_quant_params(node, p);
  lowered.set_params(p);
  if (node.out(0).dtype != DType::kS8) return ok_status();
  return add_requantization(node, y[3], false, lowered);
}

int64_t macs(const NodeView& node) {
  const Shape& w = node.shape(1);
  return node.shape(0).num_elements() * w[0] * w[1] * w[2];
}

std::vector<OpExample> examples() {
  const Attrs up2{{"stride_h", 2},     {"stride_w", 2}, {"pad_top", 1},
                  {"pad_left", 1},     {"out_h", 6},    {"out_w", 8},
                  {"act", FT_ACT_RELU}};
  const Attrs valid{
      {"stride_h", 1}, {"stride_w", 3}, {"out_h", 5}, {"out_w", 11}};
  const auto quant = quant_of_output(0.02f, -15);
  return {{.inputs = {f32({2, 3, 4, 3}), f32({5, 3, 3, 3}), f32({5})},
           .attrs = up2},
          {.inputs = {f32({1, 3, 4, 2}), f32({4, 3, 2, 2})}, .attrs = valid},
          {.inputs = {s8({2, 3, 4, 3}, 0.03f, 7),
                      s8_per_channel({5, 3, 3, 3}, 0), s32({5})},
           .attrs = up2,
           .out_quant = quant},
          {.inputs = {s8({1, 3, 4, 2}, 0.03f, 7), s8({4, 3, 2, 2}, 0.02f, 0)},
           .attrs = valid,
           .out_quant = quant}};
}

constexpr KernelDef kKernels[] = {
    {"ft_transpose_conv2d_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_transpose_conv2d_f32_c99},
    {"ft_transpose_conv2d_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_transpose_conv2d_f64_c99},
    {"ft_transpose_conv2d_s8_c99", Isa::kC99, "s8,s8->s8",
     &ft_transpose_conv2d_s8_c99},
};

}  // namespace

constinit const OpDef kTransposeConv2d = {.name = "transpose_conv2d",
                                          .cost_class = CostClass::kMatrix,
                                          .min_inputs = 2,
                                          .max_inputs = 3,
                                          .infer = infer,
                                          .gradient = gradient,
                                          .lower = lower,
                                          .kernels = kKernels,
                                          .signature_inputs = 2,
                                          .macs = macs,
                                          .examples = examples};

}  // namespace ft::ops
