// Products and ReLU on block floating point. The loops live in
// kernels/bfp_mul/.
#include "kernels/bfp_mul/bfp_mul.h"

#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/example_types.h"

namespace ft::ops {
namespace {

int32_t count_of(const NodeView& node) {
  return static_cast<int32_t>(node.shape(0).num_elements());
}

SplitFactor product_factor(const NodeView& node) {
  return split_factor(factor_of(node, 0) * factor_of(node, 2));
}

// a, a_exp, b, b_exp, predicted -> y, y_exp
Result<std::vector<TensorType>> infer_mul(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  FT_TRY_STATUS(check_bfp(node, 2, 3));
  FT_TRY_STATUS(check_state(node, 4));
  FT_TRY_STATUS(check_same_shape(node, 0, 2));
  const float factor = product_factor(node).factor;
  if (!std::isnormal(factor)) return node.error("the factors are too far off");
  return std::vector<TensorType>{bfp_type(node.shape(0), factor),
                                 exponent_type()};
}

Status lower_mul(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  lowered.set_params(ft_bfp_mul_params{
      .count = count_of(node), .exponent = product_factor(node).exponent});
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
  return {{.inputs = {bfp_type({3, 7}, 1.25f), e, bfp_type({3, 7}, 1.9f), e}},
          {.inputs = {bfp_type({33}, 1), e, bfp_type({33}, 1), e, e}}};
}

std::vector<OpExample> relu_examples() {
  return {{.inputs = {bfp_type({5, 9}, 1.5f)}}};
}

constexpr KernelDef kMulKernels[] = {
    {"ft_bfp_mul_c99", Isa::kC99, "s16->s16", &ft_bfp_mul_c99}};
constexpr KernelDef kReluKernels[] = {
    {"ft_bfp_relu_c99", Isa::kC99, "s16->s16", &ft_bfp_relu_c99}};

}  // namespace

constinit const OpDef kBfpMul = {.name = "bfp_mul",
                                 .min_inputs = 4,
                                 .max_inputs = 5,
                                 .infer = infer_mul,
                                 .lower = lower_mul,
                                 .kernels = kMulKernels,
                                 .mutates = 1u << 4,
                                 .examples = mul_examples};

constinit const OpDef kBfpRelu = {.name = "bfp_relu",
                                  .infer = infer_relu,
                                  .lower = lower_relu,
                                  .kernels = kReluKernels,
                                  .inplace_input = 0,
                                  .examples = relu_examples};

}  // namespace ft::ops
