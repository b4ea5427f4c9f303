// Dimensions in another order: y[i, j, ...] = x with dimension perm[d] of x as
// dimension d of y.
#include "ops/all_ops.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/movement.h"

namespace ft::ops {
namespace {

using Ints = std::vector<int64_t>;

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY(const Ints perm, ints_per_dim(node, "perm"));
  const Shape& x = node.shape(0);
  Shape y = x;
  uint32_t seen = 0;
  for (size_t i = 0; i < perm.size(); ++i) {
    const bool in_range = perm[i] >= 0 && perm[i] < x.rank();
    if (!in_range || (seen >> perm[i] & 1) != 0)
      return node.error(fmt::format(
          "`perm` is no permutation of {} dimensions: entry {} is {}", x.rank(),
          i, perm[i]));
    seen |= uint32_t{1} << perm[i];
    y.set(static_cast<int>(i), x[static_cast<int>(perm[i])]);
  }
  return std::vector<TensorType>{retyped(node, y)};
}

void gradient(GradientBuilder& g) {
  if (!g.needs_grad(0)) return;
  const Ints perm = g.attrs().get_ints("perm");
  Ints inverse(perm.size());
  for (size_t i = 0; i < perm.size(); ++i)
    inverse[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  g.set_input_grad(0,
                   g.emit(kTranspose, {g.output_grad()}, {{"perm", inverse}}));
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Ints perm = node.attrs->get_ints("perm");
  const Ints of_x = strides_of(node.shape(0));
  Ints strides;
  for (const int64_t d : perm) strides.push_back(of_x[static_cast<size_t>(d)]);
  lowered.set_params(strided_params(node.in(0).dtype, node.out(0).shape.dims(),
                                    strides, 0, node.shape(0).num_elements()));
  return ok_status();
}

std::vector<OpExample> examples() {
  return {
      {.inputs = {f32({3, 5})}, .attrs = {{"perm", Ints{1, 0}}}},
      {.inputs = {f32({2, 3, 4, 5})}, .attrs = {{"perm", Ints{0, 3, 1, 2}}}},
      {.inputs = {f32({2, 3, 4, 5})}, .attrs = {{"perm", Ints{0, 2, 1, 3}}}},
      {.inputs = {f32({1, 3, 1})}, .attrs = {{"perm", Ints{2, 1, 0}}}},
      {.inputs = {s8({2, 3, 2, 1, 2, 3}, 0.1f, 3)},
       .attrs = {{"perm", Ints{5, 0, 4, 1, 3, 2}}}}};
}

constexpr auto kRows =
    byte_rows("ft_strided_read_bytes_c99", &ft_strided_read_bytes_c99);

}  // namespace

constinit const OpDef kTranspose = {.name = "transpose",
                                    .cost_class = CostClass::kMovement,
                                    .infer = infer,
                                    .gradient = gradient,
                                    .lower = lower,
                                    .kernels = kRows,
                                    .examples = examples};

}  // namespace ft::ops
