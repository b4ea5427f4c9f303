// All that the compiler knows of sparse_conv2d and its gradients. The loops
// live in kernels/sparse_conv2d/.
//
// Attributes: those of a convolution, k_h, k_w, and rows; the input gradient
// also has in_h, in_w and in_c.
#include "kernels/sparse_conv2d/sparse_conv2d.h"

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

Status check_places(const NodeView& node, size_t i) {
  const Shape& s = node.shape(i);
  if (node.in(i).dtype == DType::kS32 && s.rank() == 2 && s[0] > 0 && s[1] == 2)
    return ok_status();
  return node.error(fmt::format("places are {}, need int32[entries, 2]",
                                node.in(i).to_string()));
}

Status check_values(const NodeView& node, size_t i, int64_t entries) {
  FT_TRY_STATUS(check_real(node, i));
  if (node.shape(i) == Shape{entries}) return ok_status();
  return node.error(fmt::format("values are {}, places tell {} entries",
                                node.in(i).to_string(), entries));
}

// Sizes from x's shape and the attributes; the output image is computed.
Result<ConvSizes> sizes_of(const NodeView& node, const Shape& x) {
  FT_TRY_STATUS(check_conv_attrs(node));
  ConvSizes s{};
  s.batch = x[0];
  s.in_h = x[1];
  s.in_w = x[2];
  s.in_c = x[3];
  s.groups = 1;
  FT_TRY(s.k_h, size_attr(node, "k_h"));
  FT_TRY(s.k_w, size_attr(node, "k_w"));
  FT_TRY(s.out_c, size_attr(node, "rows"));
  FT_TRY(const ImageSize out,
         conv_output_size(node, {x[1], x[2]}, {s.k_h, s.k_w}));
  s.out_h = out.h;
  s.out_w = out.w;
  FT_TRY_STATUS(check_count(node, {s.out_c, s.k_h, s.k_w, s.in_c}));
  FT_TRY_STATUS(check_count(node, {s.batch, s.out_h, s.out_w, s.out_c}));
  return s;
}

Status check_dy(const NodeView& node, size_t i, const ConvSizes& s) {
  FT_TRY_STATUS(check_real(node, i));
  const Shape y{s.batch, s.out_h, s.out_w, s.out_c};
  if (node.shape(i) == y) return ok_status();
  return node.error(fmt::format("dy has shape {}, the output is {}",
                                node.shape(i).to_string(), y.to_string()));
}

Status check_x(const NodeView& node, size_t real) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_image(node, 0, "x"));
  FT_TRY_STATUS(check_real_or_per_tensor(node, 0));
  if (node.in(0).dtype != DType::kS8) return check_same_dtype(node, 0, real);
  if (node.in(real).dtype == DType::kF32) return ok_status();
  return node.error("beside an int8 x everything else is float32");
}

// x, values, places -> y
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_x(node, 1));
  FT_TRY_STATUS(check_places(node, 2));
  FT_TRY_STATUS(check_values(node, 1, node.shape(2)[0]));
  FT_TRY(const ConvSizes s, sizes_of(node, node.shape(0)));
  return std::vector<TensorType>{{.dtype = node.in(1).dtype,
                                  .shape = {s.batch, s.out_h, s.out_w, s.out_c},
                                  .quant = {}}};
}

// x, dy, places -> dvalues
Result<std::vector<TensorType>> infer_values_grad(const NodeView& node) {
  FT_TRY_STATUS(check_x(node, 1));
  FT_TRY_STATUS(check_places(node, 2));
  FT_TRY(const ConvSizes s, sizes_of(node, node.shape(0)));
  FT_TRY_STATUS(check_dy(node, 1, s));
  return std::vector<TensorType>{
      {.dtype = node.in(1).dtype, .shape = {node.shape(2)[0]}, .quant = {}}};
}

Result<Shape> image_of(const NodeView& node) {
  FT_TRY(const int64_t h, size_attr(node, "in_h"));
  FT_TRY(const int64_t w, size_attr(node, "in_w"));
  FT_TRY(const int64_t c, size_attr(node, "in_c"));
  const Shape x{node.shape(0)[0], h, w, c};
  FT_TRY_STATUS(check_count(node, x));
  return x;
}

// dy, values, places -> dx
Result<std::vector<TensorType>> infer_input_grad(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_image(node, 0, "dy"));
  FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  FT_TRY_STATUS(check_places(node, 2));
  FT_TRY_STATUS(check_values(node, 1, node.shape(2)[0]));
  FT_TRY(const Shape x, image_of(node));
  FT_TRY(const ConvSizes s, sizes_of(node, x));
  FT_TRY_STATUS(check_dy(node, 0, s));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = x, .quant = {}}};
}

void gradient(GradientBuilder& g) {
  const ValueId x = g.input(0), values = g.input(1), places = g.input(2);
  const ValueId dy = g.output_grad();
  if (g.needs_grad(1))
    g.set_input_grad(
        1, g.emit(kSparseConv2dValuesGrad, {x, dy, places}, g.attrs()));
  if (!g.needs_grad(0)) return;
  const Shape xs = g.shape(x);
  Attrs attrs = g.attrs();
  attrs.set("in_h", xs[1]);
  attrs.set("in_w", xs[2]);
  attrs.set("in_c", xs[3]);
  g.set_input_grad(0,
                   g.emit(kSparseConv2dInputGrad, {dy, values, places}, attrs));
}

Status set_params(const NodeView& node, const Shape& x, Lowered& lowered) {
  FT_TRY(const ConvSizes sizes, sizes_of(node, x));
  ft_sparse_conv2d_params p{.conv = conv_params(node, sizes),
                            .entries = static_cast<int32_t>(node.shape(2)[0])};
  set_quant_params(node, p.conv);
  lowered.set_params(p);
  return ok_status();
}

Status lower(const LowerContext& context, Lowered& lowered) {
  return set_params(context.view, context.view.shape(0), lowered);
}

Status lower_input_grad(const LowerContext& context, Lowered& lowered) {
  return set_params(context.view, context.view.out(0).shape, lowered);
}

// One for each entry and output pixel.
int64_t macs_of_image(const NodeView& node, const Shape& image) {
  return node.shape(2)[0] * image[0] * image[1] * image[2];
}
int64_t macs(const NodeView& node) {
  return macs_of_image(node, node.out(0).shape);
}
int64_t macs_values_grad(const NodeView& node) {
  return macs_of_image(node, node.shape(1));
}
int64_t macs_input_grad(const NodeView& node) {
  return macs_of_image(node, node.shape(0));
}

// Places are random below `high`, so that some lie outside of the kernel.
Attrs strided() {
  return {{"k_h", 3},        {"k_w", 2},     {"rows", 3},      {"stride_h", 2},
          {"dilation_w", 2}, {"pad_top", 1}, {"pad_bottom", 1}};
}
Attrs dense() { return {{"k_h", 1}, {"k_w", 1}, {"rows", 4}}; }

Attrs with_image(Attrs attrs, int64_t h, int64_t w, int64_t c) {
  attrs.set("in_h", h);
  attrs.set("in_w", w);
  attrs.set("in_c", c);
  return attrs;
}

std::vector<OpExample> examples() {
  return {{.inputs = {f32({2, 5, 6, 2}), f32({9}), s32({9, 2})},
           .attrs = strided(),
           .high = 14},
          {.inputs = {f32({7, 1, 1, 11}), f32({5}), s32({5, 2})},
           .attrs = dense(),
           .high = 11},
          {.inputs = {s8({2, 5, 6, 2}, 0.04f, -11), f32({9}), s32({9, 2})},
           .attrs = strided(),
           .high = 12},
          {.inputs = {s8({3, 1, 1, 20}, 0.02f, 7), f32({6}), s32({6, 2})},
           .attrs = dense(),
           .high = 20}};
}

std::vector<OpExample> examples_values_grad() {
  return {
      {.inputs = {f32({2, 5, 6, 2}), f32({2, 3, 4, 3}), s32({9, 2})},
       .attrs = strided(),
       .high = 14},
      {.inputs = {s8({2, 5, 6, 2}, 0.04f, -11), f32({2, 3, 4, 3}), s32({9, 2})},
       .attrs = strided(),
       .high = 12}};
}

std::vector<OpExample> examples_input_grad() {
  return {{.inputs = {f32({2, 3, 4, 3}), f32({9}), s32({9, 2})},
           .attrs = with_image(strided(), 5, 6, 2),
           .high = 14},
          {.inputs = {f32({7, 1, 1, 4}), f32({5}), s32({5, 2})},
           .attrs = with_image(dense(), 1, 1, 11),
           .high = 11}};
}

constexpr KernelDef kForward[] = {
    {"ft_sparse_conv2d_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_sparse_conv2d_f32_c99},
    {"ft_sparse_conv2d_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_sparse_conv2d_f64_c99},
    {"ft_sparse_conv2d_s8f32_c99", Isa::kC99, "s8,f32->f32",
     &ft_sparse_conv2d_s8f32_c99},
};

constexpr KernelDef kValuesGrad[] = {
    {"ft_sparse_conv2d_values_grad_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_sparse_conv2d_values_grad_f32_c99},
    {"ft_sparse_conv2d_values_grad_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_sparse_conv2d_values_grad_f64_c99},
    {"ft_sparse_conv2d_values_grad_s8f32_c99", Isa::kC99, "s8,f32->f32",
     &ft_sparse_conv2d_values_grad_s8f32_c99},
};

constexpr KernelDef kInputGrad[] = {
    {"ft_sparse_conv2d_input_grad_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_sparse_conv2d_input_grad_f32_c99},
    {"ft_sparse_conv2d_input_grad_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_sparse_conv2d_input_grad_f64_c99},
};

}  // namespace

constinit const OpDef kSparseConv2d = {.name = "sparse_conv2d",
                                       .cost_class = CostClass::kMatrix,
                                       .min_inputs = 3,
                                       .max_inputs = 3,
                                       .infer = infer,
                                       .gradient = gradient,
                                       .lower = lower,
                                       .kernels = kForward,
                                       .signature_inputs = 2,
                                       .macs = macs,
                                       .examples = examples};

constinit const OpDef kSparseConv2dValuesGrad = {
    .name = "sparse_conv2d_values_grad",
    .cost_class = CostClass::kMatrix,
    .min_inputs = 3,
    .max_inputs = 3,
    .infer = infer_values_grad,
    .lower = lower,
    .kernels = kValuesGrad,
    .signature_inputs = 2,
    .macs = macs_values_grad,
    .examples = examples_values_grad};

constinit const OpDef kSparseConv2dInputGrad = {
    .name = "sparse_conv2d_input_grad",
    .cost_class = CostClass::kMatrix,
    .min_inputs = 3,
    .max_inputs = 3,
    .infer = infer_input_grad,
    .lower = lower_input_grad,
    .kernels = kInputGrad,
    .signature_inputs = 2,
    .macs = macs_input_grad,
    .examples = examples_input_grad};

}  // namespace ft::ops
