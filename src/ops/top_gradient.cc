// The largest entries of a gradient by magnitude, compact, for an update that
// moves only those. The loop lives in kernels/top_gradient/.
//
// Attribute: fraction, of the entries that are kept, in (0, 1]; at least one
// is.
#include "ops/top_gradient.h"

#include "kernels/select/select.h"
#include "kernels/top_gradient/top_gradient.h"
#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/example_types.h"

namespace ft::ops {
namespace {

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  if (node.in(0).dtype == DType::kS16) {
    if (node.in(0).quant.scale.size() > 1)
      return node.error("mantissas must have one factor");
  } else {
    FT_TRY_STATUS(check_real(node, 0));
  }
  return kept_types(node);
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  lowered.set_params(ft_top_gradient_params{
      .count = static_cast<int32_t>(node.shape(0).num_elements()),
      .kept = static_cast<int32_t>(kept_entries(node))});
  lowered.scratch_bytes = FT_SELECT_BYTES;
  return ok_status();
}

std::vector<OpExample> examples() {
  return {{.inputs = {f32({5, 7})}, .attrs = {{"fraction", 0.25}}},
          {.inputs = {f32({1})}, .attrs = {{"fraction", 0.001}}},
          {.inputs = {f32({300})}, .attrs = {{"fraction", 1.0}}},
          {.inputs = {bfp_type({3, 90}, 1.5f)}, .attrs = {{"fraction", 0.1}}}};
}

int64_t macs(const NodeView& node) { return node.shape(0).num_elements(); }

constexpr KernelDef kKernels[] = {
    {"ft_top_gradient_f32_c99", Isa::kC99, "f32->f32",
     &ft_top_gradient_f32_c99},
    {"ft_top_gradient_f64_c99", Isa::kC99, "f64->f64",
     &ft_top_gradient_f64_c99},
    {"ft_top_gradient_s16_c99", Isa::kC99, "s16->s16",
     &ft_top_gradient_s16_c99},
};

}  // namespace

// grad -> values, positions
constinit const OpDef kTopGradient = {.name = "top_gradient",
                                      .cost_class = CostClass::kReduction,
                                      .infer = infer,
                                      .lower = lower,
                                      .kernels = kKernels,
                                      .macs = macs,
                                      .examples = examples};

}  // namespace ft::ops
