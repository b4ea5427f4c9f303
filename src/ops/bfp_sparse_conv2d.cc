// sparse_conv2d and its gradients on block floating point; attributes are those
// of the float twins. The loops live in kernels/bfp_sparse_conv2d/.
#include "kernels/bfp_sparse_conv2d/bfp_sparse_conv2d.h"

#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/bfp_ops.h"
#include "ops/division.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

// The two operands, of which a product has the factor.
double factor(const NodeView& node, size_t a, size_t b) {
  return factor_of(node, a) * factor_of(node, b);
}

std::vector<TensorType> result_types(const Shape& shape, double factor) {
  return {bfp_type(shape, split_factor(factor).factor), exponent_type()};
}

// x, values, values_exp, places, x_exp
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_operand(node, 0, 4));
  FT_TRY_STATUS(check_bfp(node, 1, 2));
  FT_TRY(const Shape y, TwinView(node, {0, 1, 3}).infer(kSparseConv2d));
  return result_types(y, factor(node, 0, 1));
}

// x, dy, dy_exp, places, x_exp, predicted
Result<std::vector<TensorType>> infer_values_grad(const NodeView& node) {
  FT_TRY_STATUS(check_operand(node, 0, 4));
  FT_TRY_STATUS(check_bfp(node, 1, 2));
  FT_TRY_STATUS(check_state(node, 5));
  FT_TRY(const Shape dvalues,
         TwinView(node, {0, 1, 3}).infer(kSparseConv2dValuesGrad));
  return result_types(dvalues, factor(node, 0, 1));
}

// dy, dy_exp, values, values_exp, places, predicted
Result<std::vector<TensorType>> infer_input_grad(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  FT_TRY_STATUS(check_bfp(node, 2, 3));
  FT_TRY_STATUS(check_state(node, 5));
  FT_TRY(const Shape dx,
         TwinView(node, {0, 2, 4}).infer(kSparseConv2dInputGrad));
  return result_types(dx, factor(node, 0, 2));
}

// `a`, `b` and `places` are the twin's inputs; `row` of a result is summed at
// once.
Status lower_as(const LowerContext& context, const OpDef& twin, size_t b,
                size_t places, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape& out = node.out(0).shape;
  FT_TRY(const auto sparse,
         TwinView(node, {0, b, places})
             .params<ft_sparse_conv2d_params>(twin, context, out));
  ft_bfp_sparse_conv2d_params p{
      .sparse = sparse,
      .exponent = split_factor(factor(node, 0, b)).exponent,
      .is_s8 = node.in(0).dtype == DType::kS8};
  if (p.is_s8) p.sparse.conv.x_zero_point = node.in(0).quant.zero_point[0];
  lowered.set_params(p);
  const int64_t row = out.rank() == 4 ? out[2] * out[3] : 1;
  lowered.scratch_bytes = static_cast<size_t>(row) * sizeof(int64_t);
  return ok_status();
}

Status lower(const LowerContext& context, Lowered& lowered) {
  return lower_as(context, kSparseConv2d, 1, 3, lowered);
}
Status lower_values_grad(const LowerContext& context, Lowered& lowered) {
  return lower_as(context, kSparseConv2dValuesGrad, 1, 3, lowered);
}
Status lower_input_grad(const LowerContext& context, Lowered& lowered) {
  return lower_as(context, kSparseConv2dInputGrad, 2, 4, lowered);
}

// One for each entry and output pixel.
int64_t macs_of(const Shape& places, const Shape& image) {
  return places[0] * image[0] * image[1] * image[2];
}
int64_t macs(const NodeView& node) {
  return macs_of(node.shape(3), node.out(0).shape);
}
int64_t macs_values_grad(const NodeView& node) {
  return macs_of(node.shape(3), node.shape(1));
}
int64_t macs_input_grad(const NodeView& node) {
  return macs_of(node.shape(4), node.shape(0));
}

const TensorType kExp = exponent_type();

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
  return {{.inputs = {s8({2, 5, 6, 2}, 0.04f, -11), bfp_type({9}, 1.2f), kExp,
                      s32({9, 2})},
           .attrs = strided(),
           .high = 12},
          {.inputs = {bfp_type({7, 1, 1, 11}, 1.5f), bfp_type({5}, 1), kExp,
                      s32({5, 2}), kExp},
           .attrs = dense(),
           .high = 11}};
}

std::vector<OpExample> examples_values_grad() {
  const TensorType dy = bfp_type({2, 3, 4, 3}, 1.3f);
  return {{.inputs = {s8({2, 5, 6, 2}, 0.04f, -11), dy, kExp, s32({9, 2}), kExp,
                      kExp},
           .attrs = strided(),
           .high = 12,
           .absent = {4}},
          {.inputs = {bfp_type({2, 5, 6, 2}, 1), dy, kExp, s32({9, 2}), kExp},
           .attrs = strided(),
           .high = 14}};
}

std::vector<OpExample> examples_input_grad() {
  return {{.inputs = {bfp_type({2, 3, 4, 3}, 1.3f), kExp, bfp_type({9}, 1),
                      kExp, s32({9, 2}), kExp},
           .attrs = with_image(strided(), 5, 6, 2),
           .high = 14},
          {.inputs = {bfp_type({7, 1, 1, 4}, 1), kExp, bfp_type({5}, 1.7f),
                      kExp, s32({5, 2})},
           .attrs = with_image(dense(), 1, 1, 11),
           .high = 11}};
}

constexpr KernelDef kForward[] = {{"ft_bfp_sparse_conv2d_c99", Isa::kC99,
                                   "s8->s16", &ft_bfp_sparse_conv2d_c99},
                                  {"ft_bfp_sparse_conv2d_c99", Isa::kC99,
                                   "s16->s16", &ft_bfp_sparse_conv2d_c99}};
constexpr KernelDef kValuesGrad[] = {
    {"ft_bfp_sparse_conv2d_values_grad_c99", Isa::kC99, "s8->s16",
     &ft_bfp_sparse_conv2d_values_grad_c99},
    {"ft_bfp_sparse_conv2d_values_grad_c99", Isa::kC99, "s16->s16",
     &ft_bfp_sparse_conv2d_values_grad_c99}};
constexpr KernelDef kInputGrad[] = {{"ft_bfp_sparse_conv2d_input_grad_c99",
                                     Isa::kC99, "s16->s16",
                                     &ft_bfp_sparse_conv2d_input_grad_c99}};

Division divide_rows(const KernelDef& /*row*/, const NodeView& /*node*/,
                     const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_sparse_conv2d_params>().sparse;
  return in_bfp_fills(int64_t{p.conv.batch} * p.conv.out_h);
}

Division divide_entries(const KernelDef& /*row*/, const NodeView& /*node*/,
                        const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_sparse_conv2d_params>().sparse;
  return in_bfp_fills(p.entries);
}

Division divide_input_rows(const KernelDef& /*row*/, const NodeView& /*node*/,
                           const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_bfp_sparse_conv2d_params>().sparse;
  return in_bfp_fills(int64_t{p.conv.batch} * p.conv.in_h);
}

}  // namespace

constinit const OpDef kBfpSparseConv2d = {.name = "bfp_sparse_conv2d",
                                          .cost_class = CostClass::kMatrix,
                                          .min_inputs = 4,
                                          .max_inputs = 5,
                                          .infer = infer,
                                          .lower = lower,
                                          .kernels = kForward,
                                          .divide = divide_rows,
                                          .macs = macs,
                                          .examples = examples};

constinit const OpDef kBfpSparseConv2dValuesGrad = {
    .name = "bfp_sparse_conv2d_values_grad",
    .cost_class = CostClass::kMatrix,
    .min_inputs = 4,
    .max_inputs = 6,
    .infer = infer_values_grad,
    .lower = lower_values_grad,
    .kernels = kValuesGrad,
    .divide = divide_entries,
    .mutates = 1u << 5,
    .macs = macs_values_grad,
    .examples = examples_values_grad};

constinit const OpDef kBfpSparseConv2dInputGrad = {
    .name = "bfp_sparse_conv2d_input_grad",
    .cost_class = CostClass::kMatrix,
    .min_inputs = 5,
    .max_inputs = 6,
    .infer = infer_input_grad,
    .lower = lower_input_grad,
    .kernels = kInputGrad,
    .divide = divide_input_rows,
    .mutates = 1u << 5,
    .macs = macs_input_grad,
    .examples = examples_input_grad};

}  // namespace ft::ops
