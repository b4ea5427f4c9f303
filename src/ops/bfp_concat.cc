// Tensors of block floating point one after another along `axis`; concat is the
// float twin. The loop lives in kernels/bfp_concat/.
#include "kernels/bfp_concat/bfp_concat.h"

#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/bfp_ops.h"
#include "ops/linear_examples.h"
#include "ops/movement.h"

namespace ft::ops {
namespace {

// Mantissas stand at even inputs, their exponents behind them.
std::vector<size_t> parts_of(const NodeView& node) {
  std::vector<size_t> parts;
  for (size_t i = 0; i < node.num_inputs(); i += 2) parts.push_back(i);
  return parts;
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  for (const size_t i : parts_of(node)) {
    if (!node.has(i)) return node.error(fmt::format("input {} is missing", i));
    FT_TRY_STATUS(check_bfp(node, i, i + 1));
  }
  FT_TRY(const Shape y, TwinView(node, parts_of(node)).infer(kConcat));
  return std::vector<TensorType>{bfp_type(y, node.in(0).quant.scale[0]),
                                 exponent_type()};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const int axis = node.attrs->get_i("axis");
  std::vector<int32_t> run, multiplier, shift;
  for (const size_t i : parts_of(node)) {
    const AxisSplit split = split_at(node.shape(i), axis);
    run.push_back(split.dim * split.inner);
    const FixedFactor f = fixed_factor(factor_of(node, i) / factor_of(node, 0));
    multiplier.push_back(f.multiplier);
    shift.push_back(f.exponent);
  }
  lowered.set_params(
      ft_bfp_concat_params{.outer = split_at(node.out(0).shape, axis).outer,
                           .parts = static_cast<int32_t>(run.size())});
  for (const auto* values : {&run, &multiplier, &shift})
    lowered.add_aux<int32_t>(*values);
  return ok_status();
}

std::vector<OpExample> examples() {
  const TensorType e = exponent_type();
  return {{.inputs = {bfp_type({2, 3, 5}, 1.25f), e, bfp_type({2, 1, 5}, 1.9f),
                      e, bfp_type({2, 4, 5}, 1), e},
           .attrs = {{"axis", 1}}},
          {.inputs = {bfp_type({3, 2}, 1), e}},
          {.inputs = {bfp_type({9, 4}, 1), e, bfp_type({9, 1}, 1), e},
           .attrs = {{"axis", 1}}}};
}

constexpr KernelDef kKernels[] = {
    {"ft_bfp_concat_c99", Isa::kC99, "s16->s16", &ft_bfp_concat_c99}};

}  // namespace

constinit const OpDef kBfpConcat = {.name = "bfp_concat",
                                    .cost_class = CostClass::kMovement,
                                    .min_inputs = 2,
                                    .max_inputs = 128,
                                    .infer = infer,
                                    .lower = lower,
                                    .kernels = kKernels,
                                    .examples = examples};

}  // namespace ft::ops
