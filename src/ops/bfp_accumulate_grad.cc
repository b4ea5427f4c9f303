// Sum of the gradients of several runs on block floating point; its attribute
// is that of accumulate_grad. The loop lives in kernels/bfp_accumulate_grad/.
#include "kernels/bfp_accumulate_grad/bfp_accumulate_grad.h"

#include <algorithm>
#include <cmath>

#include "kernels/bfp_updates/bfp_updates.h"
#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/bfp_ops.h"
#include "ops/example_types.h"

namespace ft::ops {
namespace {

// Of the average in units of the gradient.
int32_t exponent_of(const NodeView& node) {
  const std::vector<float>& scales = node.in(2).quant.scale;
  const auto largest = static_cast<double>(*std::ranges::max_element(scales));
  return split_factor(largest * node.attrs->get_real("scale")).exponent;
}

// acc, acc_exp, grad, grad_exp, hyper -> total, total_exp
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_bfp_units(node, 2, 3));
  FT_TRY_STATUS(check_same_shape(node, 0, 2));
  FT_TRY_STATUS(check_state(node, 1));
  if (node.in(0).dtype != DType::kS32)
    return node.error(
        fmt::format("acc is {}, needs int32", node.in(0).to_string()));
  FT_TRY_STATUS(check_bfp_hyper(node, 4));
  const double scale = node.attrs->get_real("scale");
  if (!(scale >= 1e-6 && scale <= 1))
    return node.error(fmt::format("scale is {}", scale));
  TensorType type = node.in(2);
  for (float& s : type.quant.scale) {
    const double average = static_cast<double>(s) * scale;
    s = static_cast<float>(std::ldexp(average, -exponent_of(node)));
    if (!std::isnormal(s)) return node.error("the factors are too far off");
  }
  return std::vector<TensorType>{type, exponent_type()};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  lowered.set_params(ft_bfp_accumulate_grad_params{
      .count = static_cast<int32_t>(node.shape(0).num_elements()),
      .exponent = exponent_of(node)});
  return ok_status();
}

std::vector<OpExample> examples() {
  const TensorType e = exponent_type();
  return {
      {.inputs = {s32({3, 5}), e, bfp_type({3, 5}, 1.5f), e,
                  s32({FT_BFP_HYPER})},
       .attrs = {{"scale", 0.25}}},
      {.inputs = {s32({3}), e, with_units(bfp_type({3}, 1), {0.5f, 3, 0.07f}),
                  e, s32({FT_BFP_HYPER})},
       .attrs = {{"scale", 1.0 / 3}},
       .note = "units"}};
}

constexpr KernelDef kKernels[] = {{"ft_bfp_accumulate_grad_c99", Isa::kC99,
                                   "s32->s16", &ft_bfp_accumulate_grad_c99}};

}  // namespace

constinit const OpDef kBfpAccumulateGrad = {.name = "bfp_accumulate_grad",
                                            .min_inputs = 5,
                                            .max_inputs = 5,
                                            .infer = infer,
                                            .lower = lower,
                                            .kernels = kKernels,
                                            .mutates = 1u << 0 | 1u << 1,
                                            .examples = examples};

}  // namespace ft::ops
