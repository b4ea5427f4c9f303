// Every strides[d]-th element: y[i, ...] = x[begin[0] + i * strides[0], ...],
// `size` elements along each dimension; strides may be negative. The importer
// resolves masks and end positions to this form.
#include "ops/all_ops.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/movement.h"

namespace ft::ops {
namespace {

using Ints = std::vector<int64_t>;

// The pattern of `size` lies inside `x`.
Status check_pattern(const NodeView& node, const Shape& x, const Ints& begin,
                     const Ints& strides, const Ints& size) {
  const auto inside = [](int64_t at, int64_t dim) {
    return at >= 0 && at < dim;
  };
  for (size_t i = 0; i < begin.size(); ++i) {
    const int64_t dim = x[static_cast<int>(i)];
    const bool small = strides[i] != 0 && strides[i] >= -INT32_MAX &&
                       strides[i] <= INT32_MAX && size[i] >= 1 &&
                       size[i] <= dim;
    if (!small || !inside(begin[i], dim) ||
        !inside(begin[i] + (size[i] - 1) * strides[i], dim))
      return node.error(fmt::format(
          "{} elements from {} on with stride {} leave dimension {} of {}",
          size[i], begin[i], strides[i], i, x.to_string()));
  }
  return ok_status();
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY(const Ints begin, ints_per_dim(node, "begin"));
  FT_TRY(const Ints strides, ints_per_dim(node, "strides"));
  FT_TRY(const Ints size, ints_per_dim(node, "size"));
  FT_TRY_STATUS(check_pattern(node, node.shape(0), begin, strides, size));
  return std::vector<TensorType>{retyped(node, Shape(size))};
}

void gradient(GradientBuilder& g) {
  if (!g.needs_grad(0)) return;
  const auto dims = g.shape(g.input(0)).dims();
  g.set_input_grad(0, g.emit(kStridedSliceGrad, {g.output_grad()},
                             {{"shape", Ints(dims.begin(), dims.end())},
                              {"begin", g.attrs().get_ints("begin")},
                              {"strides", g.attrs().get_ints("strides")}}));
}

// `x` is the strided side, `y` the dense one.
ft_strided_params params_of(const NodeView& node, const Shape& x,
                            const Shape& y) {
  const Ints begin = node.attrs->get_ints("begin");
  Ints strides = strides_of(x);
  int64_t offset = 0;
  for (size_t i = 0; i < strides.size(); ++i) {
    offset += begin[i] * strides[i];
    // A lone element has no neighbour; its stride might not fit an int32.
    strides[i] *=
        y[static_cast<int>(i)] == 1 ? 1 : node.attrs->get_ints("strides")[i];
  }
  return strided_params(node.in(0).dtype, y.dims(), strides, offset,
                        x.num_elements());
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  lowered.set_params(params_of(node, node.shape(0), node.out(0).shape));
  return ok_status();
}

Result<std::vector<TensorType>> infer_grad(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY(const Ints shape, ints_per_dim(node, "shape"));
  FT_TRY(const Ints begin, ints_per_dim(node, "begin"));
  FT_TRY(const Ints strides, ints_per_dim(node, "strides"));
  const Shape x(shape);
  FT_TRY_STATUS(check_filled(node, x));
  const auto dims = node.shape(0).dims();
  FT_TRY_STATUS(
      check_pattern(node, x, begin, strides, Ints(dims.begin(), dims.end())));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = x, .quant = {}}};
}

Status lower_grad(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  lowered.set_params(params_of(node, node.out(0).shape, node.shape(0)));
  lowered.add_aux<double>(std::array{0.0});  // all bits 0 in every dtype
  return ok_status();
}

std::vector<OpExample> examples() {
  const Attrs some = {
      {"begin", Ints{1, 4}}, {"strides", Ints{3, -2}}, {"size", Ints{2, 3}}};
  return {{.inputs = {f32({6, 5})}, .attrs = some},
          {.inputs = {f32({2, 7, 3})},
           .attrs = {{"begin", Ints{1, 0, 0}},
                     {"strides", Ints{-1, 2, 1}},
                     {"size", Ints{2, 4, 3}}}},
          {.inputs = {s8({6, 5}, 0.1f, 3)}, .attrs = some}};
}

std::vector<OpExample> grad_examples() {
  return {{.inputs = {f32({2, 3})},
           .attrs = {{"shape", Ints{6, 5}},
                     {"begin", Ints{1, 4}},
                     {"strides", Ints{3, -2}}}},
          {.inputs = {f32({2, 4, 3})},
           .attrs = {{"shape", Ints{2, 7, 3}},
                     {"begin", Ints{1, 0, 0}},
                     {"strides", Ints{-1, 2, 1}}}}};
}

constexpr auto kRows =
    byte_rows("ft_strided_read_bytes_c99", &ft_strided_read_bytes_c99);
constexpr auto kGradRows =
    byte_rows("ft_strided_write_bytes_c99", &ft_strided_write_bytes_c99);

}  // namespace

constinit const OpDef kStridedSlice = {.name = "strided_slice",
                                       .cost_class = CostClass::kMovement,
                                       .infer = infer,
                                       .gradient = gradient,
                                       .lower = lower,
                                       .kernels = kRows,
                                       .examples = examples};

constinit const OpDef kStridedSliceGrad = {.name = "strided_slice_grad",
                                           .cost_class = CostClass::kMovement,
                                           .infer = infer_grad,
                                           .lower = lower_grad,
                                           .kernels = kGradRows,
                                           .examples = grad_examples};

}  // namespace ft::ops
