// y = scale * x stretched to `shape`: the inverse of a sum, which is its
// gradient.
#include "kernels/broadcast_to/broadcast_to.h"

#include "ops/all_ops.h"
#include "ops/broadcast.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/example_types.h"
#include "ops/sum_to_shape.h"

namespace ft::ops {
namespace {

Result<std::vector<TensorType>> infer(const NodeView& node) {
  const std::vector<int64_t> dims = node.attrs->get_ints("shape");
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  if (dims.size() > Shape::kMaxRank || checked_count(dims) < 0)
    return node.error(
        fmt::format("cannot make a shape of {} dimensions with a "
                    "negative or more than 2^31 elements",
                    dims.size()));
  const Shape shape(dims), &x = node.shape(0);
  const auto fits = broadcast_shape(x, shape);
  if (!fits || *fits != shape)
    return node.error(fmt::format("{} does not stretch to {}", x.to_string(),
                                  shape.to_string()));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = shape, .quant = {}}};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  lowered.set_params(ft_broadcast_to_params{
      .pair = strided_pair(node.shape(0), {}, node.out(0).shape),
      .scale = static_cast<float>(node.attrs->get_real("scale", 1))});
  return ok_status();
}

void gradient(GradientBuilder& g) {
  ValueId dx = emit_sum_to_shape(g, g.output_grad(), g.shape(g.input(0)));
  const double scale = g.attrs().get_real("scale", 1);
  if (dx == kNone) return;
  if (scale != 1) {
    const Shape shape = g.shape(dx);
    const std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
    dx = g.emit(kBroadcastTo, {dx}, {{"shape", dims}, {"scale", scale}});
  }
  g.set_input_grad(0, dx);
}

using Ints = std::vector<int64_t>;

std::vector<OpExample> examples() {
  return {{.inputs = {f32({1, 5})}, .attrs = {{"shape", Ints{3, 5}}}},
          {.inputs = {f32({3, 1})},
           .attrs = {{"shape", Ints{3, 7}}, {"scale", 0.25}}},
          {.inputs = {f32({2, 1, 1, 5})},
           .attrs = {{"shape", Ints{2, 4, 3, 5}}, {"scale", 2.0}}},
          {.inputs = {f32({5})}, .attrs = {{"shape", Ints{2, 3, 5}}}},
          {.inputs = {f32({1})}, .attrs = {{"shape", Ints{4, 5}}}},
          {.inputs = {f32({4, 5})},
           .attrs = {{"shape", Ints{4, 5}}, {"scale", -1.0}}}};
}

constexpr KernelDef kKernels[] = {
    {"ft_broadcast_to_f32_hwy", Isa::kHighway, "f32->f32",
     &ft_broadcast_to_f32_hwy},
    {"ft_broadcast_to_f32_c99", Isa::kC99, "f32->f32",
     &ft_broadcast_to_f32_c99},
    {"ft_broadcast_to_f64_c99", Isa::kC99, "f64->f64",
     &ft_broadcast_to_f64_c99},
};

}  // namespace

constinit const OpDef kBroadcastTo = {.name = "broadcast_to",
                                      .cost_class = CostClass::kMovement,
                                      .infer = infer,
                                      .gradient = gradient,
                                      .lower = lower,
                                      .kernels = kKernels,
                                      .examples = examples};

}  // namespace ft::ops
