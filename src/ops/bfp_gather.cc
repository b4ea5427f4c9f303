// Gradient of gather on block floating point; attributes are those of
// gather_grad. The loop lives in kernels/bfp_gather/.
#include "kernels/bfp_gather/bfp_gather.h"

#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/bfp_ops.h"
#include "ops/division.h"
#include "ops/example_types.h"

namespace ft::ops {
namespace {

// dy, dy_exp, indices, predicted -> dx, dx_exp
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  FT_TRY_STATUS(check_state(node, 3));
  FT_TRY(const Shape dx, TwinView(node, {0, 2}).infer(kGatherGrad));
  return std::vector<TensorType>{bfp_type(dx, node.in(0).quant.scale[0]),
                                 exponent_type()};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  FT_TRY(const auto p, TwinView(node, {0, 2})
                           .params<ft_gather_params>(kGatherGrad, context,
                                                     node.out(0).shape));
  lowered.set_params(p);
  lowered.scratch_bytes = static_cast<size_t>(p.dim) *
                          static_cast<size_t>(p.inner) * sizeof(int64_t);
  return ok_status();
}

std::vector<OpExample> examples() {
  const TensorType e = exponent_type();
  return {{.inputs = {bfp_type({4, 3}, 1.5f), e, s32({4})},
           .attrs = {{"dim", 5}},
           .high = 5},
          {.inputs = {bfp_type({2, 2, 3, 3}, 1), e, s32({2, 3}), e},
           .attrs = {{"axis", 1}, {"dim", 6}},
           .high = 6}};
}

constexpr KernelDef kKernels[] = {
    {"ft_bfp_gather_grad_c99", Isa::kC99, "s16->s16", &ft_bfp_gather_grad_c99}};

Division divide_rows(const KernelDef& /*row*/, const NodeView& /*node*/,
                     const Lowered& lowered) {
  return in_bfp_fills(lowered.params_as<ft_gather_params>().outer);
}

}  // namespace

constinit const OpDef kBfpGatherGrad = {.name = "bfp_gather_grad",
                                        .cost_class = CostClass::kMovement,
                                        .min_inputs = 3,
                                        .max_inputs = 4,
                                        .infer = infer,
                                        .lower = lower,
                                        .kernels = kKernels,
                                        .divide = divide_rows,
                                        .mutates = 1u << 3,
                                        .examples = examples};

}  // namespace ft::ops
