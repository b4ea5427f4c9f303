// Slices of x picked by index along `axis`: the indices' dimensions replace
// that one. An index outside the dimension reads its nearest end.
#include "kernels/gather/gather.h"

#include "ops/all_ops.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/movement.h"

namespace ft::ops {
namespace {

Status check_indices(const NodeView& node) {
  FT_TRY_STATUS(check_filled(node, node.shape(1)));
  if (node.in(1).dtype == DType::kS32) return ok_status();
  return node.error(
      fmt::format("indices are {}, not int32", name_of(node.in(1).dtype)));
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY_STATUS(check_indices(node));
  FT_TRY(const int axis, axis_of(node));
  const auto x = node.shape(0).dims(), indices = node.shape(1).dims();
  std::vector<int64_t> y(x.begin(), x.begin() + axis);
  y.insert(y.end(), indices.begin(), indices.end());
  y.insert(y.end(), x.begin() + axis + 1, x.end());
  if (y.size() > Shape::kMaxRank)
    return node.error(
        fmt::format("the result has {} dimensions, at most {} "
                    "are supported",
                    y.size(), Shape::kMaxRank));
  FT_TRY_STATUS(check_filled(node, Shape(y)));
  return std::vector<TensorType>{retyped(node, Shape(y))};
}

void gradient(GradientBuilder& g) {
  if (!g.needs_grad(0)) return;
  const int axis = g.attrs().get_i("axis");
  g.set_input_grad(
      0, g.emit(kGatherGrad, {g.output_grad(), g.input(1)},
                {{"axis", axis}, {"dim", g.shape(g.input(0))[axis]}}));
}

ft_gather_params params_of(const NodeView& node, const Shape& x) {
  const AxisSplit split = split_at(x, node.attrs->get_i("axis"));
  return {.elem_bytes = static_cast<int32_t>(size_of(node.in(0).dtype)),
          .outer = split.outer,
          .dim = split.dim,
          .count = static_cast<int32_t>(node.shape(1).num_elements()),
          .inner = split.inner};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  lowered.set_params(params_of(context.view, context.view.shape(0)));
  return ok_status();
}

// dx: the dimensions of the indices in dy become one of `dim` elements.
Result<std::vector<TensorType>> infer_grad(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY_STATUS(check_indices(node));
  const auto dy = node.shape(0).dims(), indices = node.shape(1).dims();
  const int64_t axis = node.attrs->get_int("axis");
  const auto rank = static_cast<int64_t>(dy.size());
  const auto replaced = static_cast<int64_t>(indices.size());
  if (axis < 0 || axis > rank - replaced ||
      !std::equal(indices.begin(), indices.end(), dy.begin() + axis))
    return node.error(fmt::format(
        "dy {} does not hold the indices' shape {} at axis {}",
        node.shape(0).to_string(), node.shape(1).to_string(), axis));
  std::vector<int64_t> dx(dy.begin(), dy.begin() + axis);
  dx.push_back(node.attrs->get_int("dim"));
  dx.insert(dx.end(), dy.begin() + axis + replaced, dy.end());
  if (dx.size() > Shape::kMaxRank)
    return node.error(
        fmt::format("the gradient has {} dimensions, at most {} "
                    "are supported",
                    dx.size(), Shape::kMaxRank));
  FT_TRY_STATUS(check_filled(node, Shape(dx)));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = Shape(dx), .quant = {}}};
}

Status lower_grad(const LowerContext& context, Lowered& lowered) {
  lowered.set_params(params_of(context.view, context.view.out(0).shape));
  return ok_status();
}

std::vector<OpExample> examples() {
  return {{.inputs = {f32({5, 3}), s32({4})}, .high = 5},
          {.inputs = {f32({2, 6, 3}), s32({2, 3})},
           .attrs = {{"axis", 1}},
           .high = 6},
          {.inputs = {f32({7, 2}), s32({})}, .high = 7},
          {.inputs = {s8({3, 4}, 0.1f, 3), s32({9})},
           .attrs = {{"axis", 1}},
           .high = 6,
           .note = "indices 4 and 5 lie outside and read the last element"}};
}

std::vector<OpExample> examples_grad() {
  return {{.inputs = {f32({4, 3}), s32({4})}, .attrs = {{"dim", 5}}, .high = 5},
          {.inputs = {f32({2, 2, 3, 3}), s32({2, 3})},
           .attrs = {{"axis", 1}, {"dim", 6}},
           .high = 6}};
}

constexpr auto kRows = byte_rows("ft_gather_bytes_c99", &ft_gather_bytes_c99);
constexpr KernelDef kGradRows[] = {
    {"ft_gather_grad_f32_c99", Isa::kC99, "f32->f32", &ft_gather_grad_f32_c99},
    {"ft_gather_grad_f64_c99", Isa::kC99, "f64->f64", &ft_gather_grad_f64_c99},
};

}  // namespace

constinit const OpDef kGather = {.name = "gather",
                                 .cost_class = CostClass::kMovement,
                                 .min_inputs = 2,
                                 .max_inputs = 2,
                                 .infer = infer,
                                 .gradient = gradient,
                                 .lower = lower,
                                 .kernels = kRows,
                                 .examples = examples};

constinit const OpDef kGatherGrad = {.name = "gather_grad",
                                     .cost_class = CostClass::kMovement,
                                     .min_inputs = 2,
                                     .max_inputs = 2,
                                     .infer = infer_grad,
                                     .lower = lower_grad,
                                     .kernels = kGradRows,
                                     .examples = examples_grad};

}  // namespace ft::ops
