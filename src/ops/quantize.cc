// Real numbers to 8 bits, and 8 bits from one quantizer to another.
//
// Attr `to`: "int8" (default) or "uint8", which only a model's outer border
// uses. The output's quantizer is the caller's.
#include "kernels/quantize/quantize.h"

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/overlap.h"
#include "ops/quantize_multiplier.h"

namespace ft::ops {
namespace {

bool is_8bit(DType dtype) { return dtype == DType::kS8 || dtype == DType::kU8; }

Status check_per_tensor(const NodeView& node, const QuantParams& quant,
                        std::string_view what) {
  if (quant.scale.size() != 1 || quant.zero_point.size() != 1)
    return node.error(
        fmt::format("{} must have one scale and one zero point, got {} and {}",
                    what, quant.scale.size(), quant.zero_point.size()));
  if (quant.scale[0] > 0 && quant.scale[0] < INFINITY) return ok_status();
  return node.error(fmt::format("{} has the scale {}", what, quant.scale[0]));
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  const DType from = node.in(0).dtype;
  const std::string to = node.attrs->get_word("to", "int8");
  if (from != DType::kF32 && !is_8bit(from))
    return node.error(fmt::format("cannot quantize {}", name_of(from)));
  if (to != "int8" && to != "uint8")
    return node.error(fmt::format("cannot quantize to {}", to));
  if (is_8bit(from))
    FT_TRY_STATUS(check_per_tensor(node, node.in(0).quant, "input 0"));
  if (node.wanted_quant.empty() || node.wanted_quant[0].empty())
    return node.error("output 0 has no quantizer");
  FT_TRY_STATUS(check_per_tensor(node, node.wanted_quant[0], "output 0"));
  return std::vector<TensorType>{
      {.dtype = to == "int8" ? DType::kS8 : DType::kU8,
       .shape = node.shape(0),
       .quant = node.wanted_quant[0]}};
}

// Straight-through: saturated elements get no gradient, all others all of it.
void gradient(GradientBuilder& g) {
  if (!g.needs_grad(0)) return;
  if (g.type(g.output()).dtype != DType::kS8)
    return g.fail(invalid_input("quantize: no gradient through uint8"));
  g.set_input_grad(0, g.emit(kActivationGrad, {g.output_grad(), g.output()},
                             {{"act", FT_ACT_NONE}}));
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const TensorType &x = context.view.in(0), &q = context.view.out(0);
  ft_quantize_params p{.count = static_cast<int32_t>(x.shape.num_elements()),
                       .scale = q.quant.scale[0],
                       .zero_point = q.quant.zero_point[0],
                       .in_zero_point = 0,
                       .multiplier = 0,
                       .shift = 0};
  if (is_8bit(x.dtype)) {
    const QuantizedMultiplier m =
        quantize_multiplier(static_cast<double>(x.quant.scale[0]) /
                            static_cast<double>(q.quant.scale[0]));
    p.in_zero_point = x.quant.zero_point[0];
    p.multiplier = m.multiplier;
    p.shift = m.shift;
  }
  lowered.set_params(p);
  return ok_status();
}

std::vector<OpExample> examples() {
  const auto to = [](float scale, int32_t zero_point) {
    return std::vector<QuantParams>{QuantParams::per_tensor(scale, zero_point)};
  };
  return {{.inputs = {f32({3, 7, 5})}, .out_quant = to(0.01f, -3)},
          {.inputs = {f32({41})},
           .out_quant = to(0.5f, 20),
           .low = -100,
           .high = 100},
          {.inputs = {f32({9})},
           .attrs = {{"to", "uint8"}},
           .out_quant = to(0.0078125f, 128)},
          {.inputs = {s8({2, 33}, 0.05f, 4)}, .out_quant = to(0.03f, -7)},
          {.inputs = {s8({2, 33}, 0.02f, -128)}, .out_quant = to(0.9f, 127)},
          {.inputs = {s8({33}, 0.02f, -128)},
           .attrs = {{"to", "uint8"}},
           .out_quant = to(0.02f, 0)}};
}

constexpr KernelDef kKernels[] = {
    {"ft_quantize_f32s8_c99", Isa::kC99, "f32->s8", &ft_quantize_f32s8_c99},
    {"ft_quantize_f32u8_c99", Isa::kC99, "f32->u8", &ft_quantize_f32u8_c99},
    {"ft_quantize_s8s8_c99", Isa::kC99, "s8->s8", &ft_quantize_s8s8_c99},
    {"ft_quantize_u8s8_c99", Isa::kC99, "u8->s8", &ft_quantize_u8s8_c99},
    {"ft_quantize_s8u8_c99", Isa::kC99, "s8->u8", &ft_quantize_s8u8_c99},
};

Overlap overlap(const KernelDef& /*row*/, const LowerContext& context,
                const Lowered& /*lowered*/) {
  return elements_overlap(context.view, 0);
}

}  // namespace

constinit const OpDef kQuantize = {.name = "quantize",
                                   .infer = infer,
                                   .gradient = gradient,
                                   .lower = lower,
                                   .kernels = kKernels,
                                   .overlap = overlap,
                                   .examples = examples};

}  // namespace ft::ops
