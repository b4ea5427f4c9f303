// One over the length of each output's weights with a low-rank update, on block
// floating point: weight_norm and the division by it in one, since that is all
// that lengths are for. Attributes are those of weight_norm. The loop lives in
// kernels/bfp_inverse_norm/.
//
// The caller says which unit each row's result has (the output's quantizer, one
// scale a row). With the inverse of the base's length all of them are near 1.
#include "kernels/bfp_inverse_norm/bfp_inverse_norm.h"

#include "kernels/weight_norm/weight_norm.h"
#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/bfp_ops.h"
#include "ops/conv_common.h"
#include "ops/linear_examples.h"

namespace ft::ops {
namespace {

// w, a, a_exp, b, b_exp -> y, y_exp
Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_bfp(node, 1, 2));
  FT_TRY_STATUS(check_bfp(node, 3, 4));
  FT_TRY(const Shape y, TwinView(node, {0, 1, 3}).infer(kWeightNorm));
  const Shape& w = node.shape(0);
  if (node.in(0).dtype != DType::kS8)
    return node.error(fmt::format("w is {}, needs int8", w.to_string()));
  FT_TRY_STATUS(check_s8(node, 0, "w", true, outputs_last(w, y[0]) ? 3 : 0));
  const double scaling = node.attrs->get_real("scaling", 1);
  if (!(scaling > 0 && scaling < 1e6))
    return node.error(fmt::format("scaling is {}", scaling));
  if (node.wanted_quant.empty())
    return node.error("the unit of each row is missing");
  TensorType type{
      .dtype = DType::kS16, .shape = y, .quant = node.wanted_quant[0]};
  FT_TRY_STATUS(check_units(node, type));
  return std::vector<TensorType>{type, exponent_type()};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape& y = node.out(0).shape;
  FT_TRY(const auto twin,
         TwinView(node, {0, 1, 3})
             .params<ft_weight_norm_params>(kWeightNorm, context, y));
  lowered.set_params(ft_bfp_inverse_norm_params{.rows = twin.rows,
                                                .columns = twin.columns,
                                                .rank = twin.rank,
                                                .out_step = twin.out_step,
                                                .step = twin.step});
  const double product = factor_of(node, 1) * factor_of(node, 3) *
                         node.attrs->get_real("scaling", 1);
  const std::vector<float> steps = channel_scales(node.in(0), twin.rows);
  const std::vector<float> units = channel_scales(node.out(0), twin.rows);
  std::vector<int32_t> multiplier, exponent, inverse;
  for (size_t o = 0; o < steps.size(); ++o) {
    const double step =
        std::ldexp(static_cast<double>(steps[o]), -FT_NORM_FRACTION);
    const FixedFactor side = fixed_factor(product / step);
    const FixedFactor unit =
        fixed_factor(1 / (step * static_cast<double>(units[o])));
    multiplier.push_back(side.multiplier);
    exponent.push_back(side.exponent);
    inverse.push_back(unit.multiplier);
    inverse.push_back(unit.exponent);
  }
  lowered.add_aux<int32_t>(multiplier);
  lowered.add_aux<int32_t>(exponent);
  lowered.add_aux<int32_t>(inverse);
  lowered.scratch_bytes = static_cast<size_t>(twin.rows) * sizeof(int64_t);
  return ok_status();
}

int64_t macs(const NodeView& node) {
  return node.shape(0).num_elements() * (node.shape(3)[1] + 1);
}

QuantParams units(int64_t rows) {
  QuantParams q{};
  for (int64_t o = 0; o < rows; ++o) {
    q.scale.push_back(0.5f + 0.25f * static_cast<float>(o % 5));
    q.zero_point.push_back(0);
  }
  return q;
}

std::vector<OpExample> examples() {
  const TensorType e = exponent_type();
  return {
      {.inputs = {s8_per_channel({6, 2, 2, 3}, 0), bfp_type({4, 2, 2, 3}, 1.5f),
                  e, bfp_type({6, 4}, 1.1f), e},
       .attrs = {{"scaling", 2.0}},
       .out_quant = {units(6)}},
      {.inputs = {s8({4, 9}, 0.02f, 0), bfp_type({1, 9}, 1), e,
                  bfp_type({4, 1}, 1), e},
       .out_quant = {units(4)}},
      {.inputs = {s8_per_channel({1, 3, 3, 6}, 3), bfp_type({2, 9}, 1), e,
                  bfp_type({6, 2}, 1.9f), e},
       .attrs = {{"scaling", 0.5}},
       .out_quant = {units(6)},
       .note = "depthwise"}};
}

constexpr KernelDef kKernels[] = {{"ft_bfp_inverse_norm_c99", Isa::kC99,
                                   "s8->s16", &ft_bfp_inverse_norm_c99}};

}  // namespace

constinit const OpDef kBfpInverseNorm = {.name = "bfp_inverse_norm",
                                         .cost_class = CostClass::kReduction,
                                         .min_inputs = 5,
                                         .max_inputs = 5,
                                         .infer = infer,
                                         .lower = lower,
                                         .kernels = kKernels,
                                         .macs = macs,
                                         .examples = examples};

}  // namespace ft::ops
