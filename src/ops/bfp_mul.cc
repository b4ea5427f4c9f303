// Products and ReLU on block floating point. The loops live in
// kernels/bfp_mul/.
#include "kernels/bfp_mul/bfp_mul.h"

#include <algorithm>
#include <cmath>

#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/division.h"
#include "ops/example_types.h"

namespace ft::ops {
namespace {

int32_t count_of(const NodeView& node) {
  return static_cast<int32_t>(node.shape(0).num_elements());
}

// The scale of products, or one for each of them.
struct ProductScales {
  std::vector<float> factors;
  int32_t exponent = 0;
};

// Units that are each other's inverses, but for rounding, leave none.
ProductScales product_scales(const NodeView& node) {
  const auto &a = node.in(0).quant.scale, &b = node.in(2).quant.scale;
  std::vector<double> products;
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i)
    products.push_back(static_cast<double>(a[a.size() > 1 ? i : 0]) *
                       static_cast<double>(b[b.size() > 1 ? i : 0]));
  if (std::ranges::all_of(products,
                          [](double p) { return std::fabs(p - 1) <= 0x1p-22; }))
    return {{1.0f}, 0};
  const double largest = *std::ranges::max_element(products);
  ProductScales scales{{}, split_factor(largest).exponent};
  for (const double p : products)
    scales.factors.push_back(
        static_cast<float>(std::ldexp(p, -scales.exponent)));
  return scales;
}

// a, a_exp, b, b_exp, predicted -> y, y_exp
Result<std::vector<TensorType>> infer_mul(const NodeView& node) {
  FT_TRY_STATUS(check_bfp_units(node, 0, 1));
  FT_TRY_STATUS(check_bfp_units(node, 2, 3));
  FT_TRY_STATUS(check_state(node, 4));
  FT_TRY_STATUS(check_same_shape(node, 0, 2));
  TensorType type = bfp_type(node.shape(0), 1);
  type.quant.scale = product_scales(node).factors;
  type.quant.zero_point.assign(type.quant.scale.size(), 0);
  for (const float factor : type.quant.scale)
    if (!std::isnormal(factor))
      return node.error("the factors are too far off");
  return std::vector<TensorType>{type, exponent_type()};
}

Status lower_mul(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  lowered.set_params(ft_bfp_mul_params{
      .count = count_of(node), .exponent = product_scales(node).exponent});
  return ok_status();
}

// x -> y; the exponent stays
Result<std::vector<TensorType>> infer_relu(const NodeView& node) {
  FT_TRY_STATUS(check_count(node, node.shape(0)));
  if (node.in(0).dtype != DType::kS16)
    return node.error(
        fmt::format("x is {}, needs int16", node.in(0).to_string()));
  return std::vector<TensorType>{node.in(0)};
}

Status lower_relu(const LowerContext& context, Lowered& lowered) {
  lowered.set_params(ft_bfp_relu_params{.count = count_of(context.view)});
  return ok_status();
}

std::vector<OpExample> mul_examples() {
  const TensorType e = exponent_type();
  return {
      {.inputs = {bfp_type({3, 7}, 1.25f), e, bfp_type({3, 7}, 1.9f), e}},
      {.inputs = {bfp_type({33}, 1), e, bfp_type({33}, 1), e, e}},
      {.inputs = {with_units(bfp_type({3}, 1), {0.5f, 3, 0.07f}), e,
                  bfp_type({3}, 1.9f), e},
       .note = "units"},
      {.inputs = {with_units(bfp_type({3}, 1), {0.5f, 3, 0.07f}), e,
                  with_units(bfp_type({3}, 1), {2, 1.0f / 3, 1 / 0.07f}), e},
       .note = "units that cancel"}};
}

std::vector<OpExample> relu_examples() {
  return {{.inputs = {bfp_type({5, 9}, 1.5f)}}};
}

constexpr KernelDef kMulKernels[] = {
    {"ft_bfp_mul_c99", Isa::kC99, "s16->s16", &ft_bfp_mul_c99}};
constexpr KernelDef kReluKernels[] = {
    {"ft_bfp_relu_c99", Isa::kC99, "s16->s16", &ft_bfp_relu_c99}};

Division divide_products(const KernelDef& /*row*/, const NodeView& node,
                         const Lowered& /*lowered*/) {
  return in_bfp_fills(count_of(node));
}

}  // namespace

constinit const OpDef kBfpMul = {.name = "bfp_mul",
                                 .min_inputs = 4,
                                 .max_inputs = 5,
                                 .infer = infer_mul,
                                 .lower = lower_mul,
                                 .kernels = kMulKernels,
                                 .divide = divide_products,
                                 .mutates = 1u << 4,
                                 .examples = mul_examples};

constinit const OpDef kBfpRelu = {.name = "bfp_relu",
                                  .infer = infer_relu,
                                  .lower = lower_relu,
                                  .kernels = kReluKernels,
                                  .inplace_input = 0,
                                  .examples = relu_examples};

}  // namespace ft::ops
