// 8 bits to real numbers: y = scale * (q - zero_point).
#include "kernels/dequantize/dequantize.h"

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/overlap.h"

namespace ft::ops {
namespace {

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  const TensorType& q = node.in(0);
  if (q.dtype != DType::kS8 && q.dtype != DType::kU8)
    return node.error(fmt::format("cannot dequantize {}", name_of(q.dtype)));
  if (q.quant.empty() || q.quant.zero_point.size() != q.quant.scale.size())
    return node.error(fmt::format("input 0 has {} scales and {} zero points",
                                  q.quant.scale.size(),
                                  q.quant.zero_point.size()));
  if (q.quant.is_per_channel()) {
    const int axis = q.quant.quantized_dimension;
    const auto scales = static_cast<int64_t>(q.quant.scale.size());
    if (axis < 0 || axis >= q.shape.rank() || q.shape[axis] != scales)
      return node.error(fmt::format("{} scales along dimension {} of {}",
                                    scales, axis, q.shape.to_string()));
  }
  return std::vector<TensorType>{
      {.dtype = DType::kF32, .shape = q.shape, .quant = {}}};
}

// Gradients are in real units on both sides.
void gradient(GradientBuilder& g) {
  if (g.needs_grad(0)) g.set_input_grad(0, g.output_grad());
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const TensorType& q = context.view.in(0);
  const auto count = static_cast<int32_t>(q.shape.num_elements());
  ft_dequantize_params p{.outer = 1, .channels = 1, .inner = count};
  if (q.quant.is_per_channel()) {
    const int axis = q.quant.quantized_dimension;
    p = {.outer = 1,
         .channels = static_cast<int32_t>(q.shape[axis]),
         .inner = 1};
    for (int i = 0; i < axis; ++i) p.outer *= static_cast<int32_t>(q.shape[i]);
    for (int i = axis + 1; i < q.shape.rank(); ++i)
      p.inner *= static_cast<int32_t>(q.shape[i]);
  }
  lowered.set_params(p);
  lowered.add_aux<float>(q.quant.scale);
  lowered.add_aux<int32_t>(q.quant.zero_point);
  return ok_status();
}

std::vector<OpExample> examples() {
  TensorType per_channel{.dtype = DType::kS8,
                         .shape = {4, 3, 5},
                         .quant = {.scale = {0.1f, 0.02f, 0.7f},
                                   .zero_point = {0, 3, -9},
                                   .quantized_dimension = 1}};
  return {{.inputs = {s8({3, 7, 5}, 0.01f, -3)}},
          {.inputs = {s8({41}, 2.5f, 127)}},
          {.inputs = {per_channel}}};
}

constexpr KernelDef kKernels[] = {
    {"ft_dequantize_s8f32_c99", Isa::kC99, "s8->f32", &ft_dequantize_s8f32_c99},
    {"ft_dequantize_u8f32_c99", Isa::kC99, "u8->f32", &ft_dequantize_u8f32_c99},
};

Overlap overlap(const KernelDef& /*row*/, const LowerContext& context,
                const Lowered& /*lowered*/) {
  return elements_overlap(context.view, 0);
}

}  // namespace

constinit const OpDef kDequantize = {.name = "dequantize",
                                     .infer = infer,
                                     .gradient = gradient,
                                     .lower = lower,
                                     .kernels = kKernels,
                                     .overlap = overlap,
                                     .examples = examples};

}  // namespace ft::ops
