// All that the compiler knows of block_conv2d and its gradients. The loops live
// in kernels/block_conv2d/.
//
// Attributes: those of a convolution, and block; the weight gradient also has
// k_h and k_w, the input gradient in_h, in_w and in_c.
#include "kernels/block_conv2d/block_conv2d.h"

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

// The channels that the index of blocks (input 2) keeps, of `in_c`.
Result<int64_t> kept_of(const NodeView& node, int64_t in_c) {
  FT_TRY(const int64_t block, size_attr(node, "block"));
  const Shape& index = node.shape(2);
  if (node.in(2).dtype != DType::kS32 || index.rank() != 1 || index[0] < 1)
    return node.error(fmt::format("the index is {}, needs int32[blocks]",
                                  node.in(2).to_string()));
  if (in_c % block == 0 && index[0] <= in_c / block) return index[0] * block;
  return node.error(fmt::format("{} blocks of {} do not fit into {} channels",
                                index[0], block, in_c));
}

// Sizes from the shape of x and w's [out_c, k_h, k_w].
Result<ConvSizes> sizes_of(const NodeView& node, const Shape& x, int64_t out_c,
                           ImageSize kernel) {
  FT_TRY_STATUS(check_conv_attrs(node));
  FT_TRY(const ImageSize out, conv_output_size(node, {x[1], x[2]}, kernel));
  const ConvSizes s{.batch = x[0],
                    .in_h = x[1],
                    .in_w = x[2],
                    .in_c = x[3],
                    .out_h = out.h,
                    .out_w = out.w,
                    .out_c = out_c,
                    .k_h = kernel.h,
                    .k_w = kernel.w,
                    .groups = 1};
  FT_TRY_STATUS(check_count(node, {s.out_c, s.k_h, s.k_w, s.in_c}));
  FT_TRY_STATUS(check_count(node, {s.batch, s.out_h, s.out_w, s.out_c}));
  return s;
}

Shape output_shape(const ConvSizes& s) {
  return {s.batch, s.out_h, s.out_w, s.out_c};
}

Status check_shape(const NodeView& node, size_t i, const Shape& want) {
  if (node.shape(i) == want) return ok_status();
  return node.error(fmt::format("input {} is {}, needs {}", i,
                                node.in(i).to_string(), want.to_string()));
}

// x float or int8, beside a real input 1.
Status check_x(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_image(node, 0, "x"));
  FT_TRY_STATUS(check_image(node, 1, "w or dy"));
  FT_TRY_STATUS(check_real(node, 1));
  FT_TRY_STATUS(check_real_or_per_tensor(node, 0));
  if (node.in(0).dtype != DType::kS8) return check_same_dtype(node, 0, 1);
  if (node.in(1).dtype == DType::kF32) return ok_status();
  return node.error("beside an int8 x everything else is float32");
}

// x, w, index -> y
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_x(node));
  const Shape &x = node.shape(0), &w = node.shape(1);
  FT_TRY(const int64_t kept, kept_of(node, x[3]));
  FT_TRY_STATUS(check_shape(node, 1, {w[0], w[1], w[2], kept}));
  FT_TRY(const ConvSizes s, sizes_of(node, x, w[0], {w[1], w[2]}));
  return std::vector<TensorType>{
      {.dtype = node.in(1).dtype, .shape = output_shape(s), .quant = {}}};
}

Result<ConvSizes> weight_grad_sizes(const NodeView& node) {
  FT_TRY(const int64_t k_h, size_attr(node, "k_h"));
  FT_TRY(const int64_t k_w, size_attr(node, "k_w"));
  return sizes_of(node, node.shape(0), node.shape(1)[3], {k_h, k_w});
}

// x, dy, index -> dw
Result<std::vector<TensorType>> infer_weight_grad(const NodeView& node) {
  FT_TRY_STATUS(check_x(node));
  FT_TRY(const int64_t kept, kept_of(node, node.shape(0)[3]));
  FT_TRY(const ConvSizes s, weight_grad_sizes(node));
  FT_TRY_STATUS(check_shape(node, 1, output_shape(s)));
  return std::vector<TensorType>{{.dtype = node.in(1).dtype,
                                  .shape = {s.out_c, s.k_h, s.k_w, kept},
                                  .quant = {}}};
}

Result<ConvSizes> input_grad_sizes(const NodeView& node) {
  FT_TRY(const int64_t h, size_attr(node, "in_h"));
  FT_TRY(const int64_t w, size_attr(node, "in_w"));
  FT_TRY(const int64_t c, size_attr(node, "in_c"));
  const Shape x{node.shape(0)[0], h, w, c};
  FT_TRY_STATUS(check_count(node, x));
  const Shape& weight = node.shape(1);
  return sizes_of(node, x, weight[0], {weight[1], weight[2]});
}

// dy, w, index -> dx
Result<std::vector<TensorType>> infer_input_grad(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_image(node, 0, "dy"));
  FT_TRY_STATUS(check_image(node, 1, "w"));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  FT_TRY(const ConvSizes s, input_grad_sizes(node));
  FT_TRY(const int64_t kept, kept_of(node, s.in_c));
  FT_TRY_STATUS(check_shape(node, 0, output_shape(s)));
  FT_TRY_STATUS(check_shape(node, 1, {s.out_c, s.k_h, s.k_w, kept}));
  return std::vector<TensorType>{{.dtype = node.in(0).dtype,
                                  .shape = {s.batch, s.in_h, s.in_w, s.in_c},
                                  .quant = {}}};
}

void gradient(GradientBuilder& g) {
  const ValueId x = g.input(0), w = g.input(1), index = g.input(2);
  const ValueId dy = g.output_grad();
  const Shape xs = g.shape(x), ws = g.shape(w);
  if (g.needs_grad(1)) {
    Attrs attrs = g.attrs();
    attrs.set("k_h", ws[1]);
    attrs.set("k_w", ws[2]);
    g.set_input_grad(1, g.emit(kBlockConv2dWeightGrad, {x, dy, index}, attrs));
  }
  if (!g.needs_grad(0)) return;
  Attrs attrs = g.attrs();
  attrs.set("in_h", xs[1]);
  attrs.set("in_w", xs[2]);
  attrs.set("in_c", xs[3]);
  g.set_input_grad(0, g.emit(kBlockConv2dInputGrad, {dy, w, index}, attrs));
}

Status set_params(const NodeView& node, const ConvSizes& sizes,
                  Lowered& lowered) {
  ft_block_conv2d_params p{.conv = conv_params(node, sizes),
                           .blocks = static_cast<int32_t>(node.shape(2)[0]),
                           .block = node.attrs->get_i("block")};
  set_quant_params(node, p.conv);
  p.conv.act = FT_ACT_NONE;
  lowered.set_params(p);
  return ok_status();
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape& w = node.shape(1);
  FT_TRY(const ConvSizes s, sizes_of(node, node.shape(0), w[0], {w[1], w[2]}));
  return set_params(node, s, lowered);
}

Status lower_weight_grad(const LowerContext& context, Lowered& lowered) {
  FT_TRY(const ConvSizes s, weight_grad_sizes(context.view));
  return set_params(context.view, s, lowered);
}

Status lower_input_grad(const LowerContext& context, Lowered& lowered) {
  FT_TRY(const ConvSizes s, input_grad_sizes(context.view));
  return set_params(context.view, s, lowered);
}

// Output pixels times the weights that are there.
int64_t macs(const NodeView& node) {
  return node.shape(1).num_elements() *
         (node.out(0).shape.num_elements() / node.shape(1)[0]);
}
int64_t macs_weight_grad(const NodeView& node) {
  const Shape& dy = node.shape(1);
  return node.out(0).shape.num_elements() * (dy.num_elements() / dy[3]);
}
int64_t macs_input_grad(const NodeView& node) {
  const Shape& dy = node.shape(0);
  return node.shape(1).num_elements() * (dy.num_elements() / dy[3]);
}

bool has_whole_vectors(const LowerContext&, const Lowered& lowered) {
  return lowered.params_as<ft_block_conv2d_params>().block % FT_BLOCK_LANES ==
         0;
}

// Indices are random below `high`, so that some lie outside or repeat.
Attrs strided(int64_t block) {
  return {{"block", block},
          {"stride_h", 2},
          {"dilation_w", 2},
          {"pad_top", 1},
          {"pad_bottom", 1}};
}

Attrs with(Attrs attrs, std::vector<std::pair<const char*, int64_t>> more) {
  for (const auto& [name, value] : more) attrs.set(name, value);
  return attrs;
}

std::vector<OpExample> examples() {
  return {
      {.inputs = {f32({2, 5, 6, 8}), f32({3, 3, 2, 6}), s32({3})},
       .attrs = strided(2),
       .high = 5},
      {.inputs = {f32({1, 7, 1, 20}), f32({4, 1, 1, 8}), s32({2})},
       .attrs = {{"block", 4}},
       .high = 5},
      {.inputs = {s8({2, 5, 6, 8}, 0.04f, -11), f32({3, 3, 2, 4}), s32({2})},
       .attrs = strided(2),
       .high = 4},
      {.inputs = {s8({1, 3, 1, 20}, 0.02f, 7), f32({9, 1, 1, 15}), s32({3})},
       .attrs = {{"block", 5}},
       .high = 4},
      {.inputs = {f32({2, 5, 6, 32}), f32({5, 3, 2, 16}), s32({2})},
       .attrs = strided(8),
       .high = 6},
      {.inputs = {s8({2, 5, 6, 48}, 0.04f, -11), f32({4, 3, 2, 32}), s32({2})},
       .attrs = strided(16),
       .high = 4}};
}

std::vector<OpExample> examples_weight_grad() {
  const Attrs attrs = with(strided(2), {{"k_h", 3}, {"k_w", 2}});
  return {
      {.inputs = {f32({2, 5, 6, 8}), f32({2, 3, 4, 3}), s32({3})},
       .attrs = attrs,
       .high = 5},
      {.inputs = {s8({2, 5, 6, 8}, 0.04f, -11), f32({2, 3, 4, 3}), s32({2})},
       .attrs = attrs,
       .high = 4},
      {.inputs = {f32({2, 5, 6, 32}), f32({2, 3, 4, 5}), s32({2})},
       .attrs = with(strided(8), {{"k_h", 3}, {"k_w", 2}}),
       .high = 6},
      {.inputs = {s8({2, 5, 6, 48}, 0.04f, -11), f32({2, 3, 4, 4}), s32({2})},
       .attrs = with(strided(16), {{"k_h", 3}, {"k_w", 2}}),
       .high = 4}};
}

std::vector<OpExample> examples_input_grad() {
  return {{.inputs = {f32({2, 3, 4, 3}), f32({3, 3, 2, 6}), s32({3})},
           .attrs = with(strided(2), {{"in_h", 5}, {"in_w", 6}, {"in_c", 8}}),
           .high = 5},
          {.inputs = {f32({1, 7, 1, 4}), f32({4, 1, 1, 8}), s32({2})},
           .attrs = {{"block", 4}, {"in_h", 7}, {"in_w", 1}, {"in_c", 20}},
           .high = 5},
          {.inputs = {f32({2, 3, 4, 5}), f32({5, 3, 2, 16}), s32({2})},
           .attrs = with(strided(8), {{"in_h", 5}, {"in_w", 6}, {"in_c", 32}}),
           .high = 6}};
}

constexpr double kTolerance = 1e-5;
constexpr KernelDef kForward[] = {
    {"ft_block_conv2d_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_block_conv2d_f32_hwy, has_whole_vectors, nullptr, kTolerance},
    {"ft_block_conv2d_s8f32_hwy", Isa::kHighway, "s8,f32->f32",
     &ft_block_conv2d_s8f32_hwy, has_whole_vectors, nullptr, kTolerance},
    {"ft_block_conv2d_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_block_conv2d_f32_c99},
    {"ft_block_conv2d_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_block_conv2d_f64_c99},
    {"ft_block_conv2d_s8f32_c99", Isa::kC99, "s8,f32->f32",
     &ft_block_conv2d_s8f32_c99},
};

constexpr KernelDef kWeightGrad[] = {
    {"ft_block_conv2d_weight_grad_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_block_conv2d_weight_grad_f32_hwy, has_whole_vectors, nullptr,
     kTolerance},
    {"ft_block_conv2d_weight_grad_s8f32_hwy", Isa::kHighway, "s8,f32->f32",
     &ft_block_conv2d_weight_grad_s8f32_hwy, has_whole_vectors, nullptr,
     kTolerance},
    {"ft_block_conv2d_weight_grad_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_block_conv2d_weight_grad_f32_c99},
    {"ft_block_conv2d_weight_grad_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_block_conv2d_weight_grad_f64_c99},
    {"ft_block_conv2d_weight_grad_s8f32_c99", Isa::kC99, "s8,f32->f32",
     &ft_block_conv2d_weight_grad_s8f32_c99},
};

constexpr KernelDef kInputGrad[] = {
    {"ft_block_conv2d_input_grad_f32_hwy", Isa::kHighway, "f32,f32->f32",
     &ft_block_conv2d_input_grad_f32_hwy, has_whole_vectors, nullptr,
     kTolerance},
    {"ft_block_conv2d_input_grad_f32_c99", Isa::kC99, "f32,f32->f32",
     &ft_block_conv2d_input_grad_f32_c99},
    {"ft_block_conv2d_input_grad_f64_c99", Isa::kC99, "f64,f64->f64",
     &ft_block_conv2d_input_grad_f64_c99},
};

}  // namespace

constinit const OpDef kBlockConv2d = {.name = "block_conv2d",
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

constinit const OpDef kBlockConv2dWeightGrad = {
    .name = "block_conv2d_weight_grad",
    .cost_class = CostClass::kMatrix,
    .min_inputs = 3,
    .max_inputs = 3,
    .infer = infer_weight_grad,
    .lower = lower_weight_grad,
    .kernels = kWeightGrad,
    .signature_inputs = 2,
    .macs = macs_weight_grad,
    .examples = examples_weight_grad};

constinit const OpDef kBlockConv2dInputGrad = {
    .name = "block_conv2d_input_grad",
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
