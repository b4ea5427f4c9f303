// A box of a tensor: y[i, ...] = x[begin[0] + i, ...], `size` elements along
// each dimension.
#include "ops/all_ops.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/movement.h"

namespace ft::ops {
namespace {

using Ints = std::vector<int64_t>;

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY(const Ints begin, ints_per_dim(node, "begin"));
  FT_TRY(const Ints size, ints_per_dim(node, "size"));
  for (size_t i = 0; i < begin.size(); ++i) {
    const int64_t dim = node.shape(0)[static_cast<int>(i)];
    if (begin[i] < 0 || size[i] < 1 || size[i] > dim ||
        begin[i] > dim - size[i])
      return node.error(
          fmt::format("{} elements from {} on leave dimension {} of {}",
                      size[i], begin[i], i, node.shape(0).to_string()));
  }
  return std::vector<TensorType>{retyped(node, Shape(size))};
}

void gradient(GradientBuilder& g) {
  if (!g.needs_grad(0)) return;
  const Ints begin = g.attrs().get_ints("begin");
  const Ints size = g.attrs().get_ints("size");
  Ints after(begin.size());
  for (size_t i = 0; i < after.size(); ++i)
    after[i] = g.shape(g.input(0))[static_cast<int>(i)] - begin[i] - size[i];
  g.set_input_grad(0, g.emit(kPad, {g.output_grad()},
                             {{"before", begin}, {"after", after}}));
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Ints strides = strides_of(node.shape(0));
  const Ints begin = node.attrs->get_ints("begin");
  int64_t offset = 0;
  for (size_t i = 0; i < begin.size(); ++i) offset += begin[i] * strides[i];
  lowered.set_params(strided_params(node.in(0).dtype, node.out(0).shape.dims(),
                                    strides, offset,
                                    node.shape(0).num_elements()));
  return ok_status();
}

std::vector<OpExample> examples() {
  return {{.inputs = {f32({7, 5})},
           .attrs = {{"begin", Ints{2, 0}}, {"size", Ints{3, 5}}}},
          {.inputs = {f32({2, 5, 4, 3})},
           .attrs = {{"begin", Ints{1, 1, 0, 2}}, {"size", Ints{1, 3, 4, 1}}}},
          {.inputs = {s8({9, 3}, 0.1f, 3)},
           .attrs = {{"begin", Ints{4, 1}}, {"size", Ints{5, 2}}}}};
}

constexpr auto kRows =
    byte_rows("ft_strided_read_bytes_c99", &ft_strided_read_bytes_c99);

}  // namespace

constinit const OpDef kSlice = {.name = "slice",
                                .cost_class = CostClass::kMovement,
                                .infer = infer,
                                .gradient = gradient,
                                .lower = lower,
                                .kernels = kRows,
                                .examples = examples};

}  // namespace ft::ops
