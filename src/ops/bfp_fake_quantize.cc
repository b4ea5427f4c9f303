// Fake quantization on block floating point, with steps that are powers of two
// and just hold each group's values. Attributes are those of minmax_quantizer,
// whose values must be symmetric. The loop lives in kernels/bfp_fake_quantize/.
#include "kernels/bfp_fake_quantize/bfp_fake_quantize.h"

#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/bfp_ops.h"

namespace ft::ops {
namespace {

// x, x_exp -> y, y_exp
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 0, 1));
  FT_TRY_STATUS(TwinView(node, {0}).infer(kMinmaxQuantizer).status());
  const int64_t low = node.attrs->get_int("qmin");
  const int64_t high = node.attrs->get_int("qmax");
  if (node.attrs->get_int("symmetric", 1) == 0 || low != -high || high > 32767)
    return node.error(fmt::format(
        "the integers from {} to {} are not symmetric in 16 bits", low, high));
  return std::vector<TensorType>{node.in(0), exponent_type()};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape steps{node.attrs->get_int("groups")};
  FT_TRY(const auto p, TwinView(node, {0}).params<ft_fake_quantize_params>(
                           kMinmaxQuantizer, context, steps));
  lowered.set_params(p);
  lowered.scratch_bytes = static_cast<size_t>(p.groups) * sizeof(int32_t);
  return ok_status();
}

Attrs runs(int64_t row, int64_t block, int64_t groups, int64_t qmax) {
  return {{"row", row},
          {"block", block},
          {"groups", groups},
          {"qmin", -qmax},
          {"qmax", qmax}};
}

std::vector<OpExample> examples() {
  const TensorType e = exponent_type();
  return {
      {.inputs = {bfp_type({4, 6}, 1.5f), e}, .attrs = runs(24, 24, 1, 127)},
      {.inputs = {bfp_type({4, 6}, 1), e}, .attrs = runs(6, 6, 4, 7)},
      {.inputs = {bfp_type({3, 10}, 1), e}, .attrs = runs(10, 4, 9, 1)},
      {.inputs = {bfp_type({2, 9}, 1), e}, .attrs = runs(18, 18, 1, 32767)}};
}

constexpr KernelDef kKernels[] = {{"ft_bfp_fake_quantize_c99", Isa::kC99,
                                   "s16->s16", &ft_bfp_fake_quantize_c99}};

}  // namespace

constinit const OpDef kBfpFakeQuantize = {.name = "bfp_fake_quantize",
                                          .min_inputs = 2,
                                          .max_inputs = 2,
                                          .infer = infer,
                                          .lower = lower,
                                          .kernels = kKernels,
                                          .examples = examples};

}  // namespace ft::ops
