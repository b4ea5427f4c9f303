// Several tensors one after another along `axis`, and a tensor in parts of
// `sizes` along it. int8 parts and whole share one quantizer: the importer
// inserts quantize nodes where a model's do not.
#include "kernels/concat/concat.h"

#include "ops/all_ops.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/movement.h"

namespace ft::ops {
namespace {

using Ints = std::vector<int64_t>;

constexpr int kMaxParts = 64;

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY(const int axis, axis_of(node));
  Shape y = node.shape(0);
  for (size_t i = 1; i < node.num_inputs(); ++i) {
    if (!node.has(i)) return node.error(fmt::format("input {} is missing", i));
    FT_TRY_STATUS(check_movable(node, i));
    FT_TRY_STATUS(check_same_dtype(node, 0, i));
    Shape expected = node.shape(0);
    if (node.shape(i).rank() == y.rank())
      expected.set(axis, node.shape(i)[axis]);
    if (node.shape(i) != expected)
      return node.error(fmt::format(
          "input {} is {}, which does not continue {} along dimension {}", i,
          node.shape(i).to_string(), node.shape(0).to_string(), axis));
    if (node.in(i).quant.scale != node.in(0).quant.scale ||
        node.in(i).quant.zero_point != node.in(0).quant.zero_point)
      return node.error(
          fmt::format("inputs 0 and {} have different quantizers", i));
    y.set(axis, y[axis] + node.shape(i)[axis]);
  }
  FT_TRY_STATUS(check_filled(node, y));
  return std::vector<TensorType>{retyped(node, y)};
}

void gradient(GradientBuilder& g) {
  const auto axis = static_cast<size_t>(g.attrs().get_int("axis"));
  Ints begin(static_cast<size_t>(g.shape(g.output()).rank()), 0);
  for (size_t i = 0; g.input(i) != kNone; ++i) {
    const Shape part = g.shape(g.input(i));  // a copy: emitting moves values
    const auto dims = part.dims();
    if (g.needs_grad(i))
      g.set_input_grad(i, g.emit(kSlice, {g.output_grad()},
                                 {{"begin", begin},
                                  {"size", Ints(dims.begin(), dims.end())}}));
    begin[axis] += dims[axis];
  }
}

// `whole` has the dtype and outer size; the types are the parts.
void set_parts(const TensorType& whole, int axis,
               std::span<const TensorType* const> types, Lowered& lowered) {
  std::vector<int32_t> runs;
  for (const TensorType* type : types) {
    const AxisSplit split = split_at(type->shape, axis);
    runs.push_back(split.dim * split.inner);
  }
  lowered.set_params(
      ft_concat_params{.elem_bytes = static_cast<int32_t>(size_of(whole.dtype)),
                       .outer = split_at(whole.shape, axis).outer,
                       .parts = static_cast<int32_t>(runs.size())});
  lowered.add_aux<int32_t>(runs);
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  set_parts(node.out(0), node.attrs->get_i("axis"), node.inputs, lowered);
  return ok_status();
}

Result<std::vector<TensorType>> infer_split(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY(const int axis, axis_of(node));
  const Shape& x = node.shape(0);
  const Ints sizes = node.attrs->get_ints("sizes");
  if (sizes.empty() || sizes.size() > kMaxParts)
    return node.error(fmt::format("{} parts, 1 to {} are supported",
                                  sizes.size(), kMaxParts));
  std::vector<TensorType> parts;
  int64_t left = x[axis];
  for (const int64_t size : sizes) {
    if (size < 1 || size > left)
      return node.error(
          fmt::format("a part of {} does not fit the {} that are left of "
                      "dimension {} of {}",
                      size, left, axis, x.to_string()));
    left -= size;
    Shape part = x;
    part.set(axis, size);
    parts.push_back(retyped(node, part));
  }
  if (left == 0) return parts;
  return node.error(fmt::format("the parts leave {} of dimension {} of {}",
                                left, axis, x.to_string()));
}

// The parts' gradients side by side; where a part is unused, those that are
// used are widened with zeros and added.
void gradient_split(GradientBuilder& g) {
  if (!g.needs_grad(0)) return;
  const Ints sizes = g.attrs().get_ints("sizes");
  const auto axis = static_cast<size_t>(g.attrs().get_int("axis"));
  std::vector<ValueId> used;
  for (size_t i = 0; i < sizes.size(); ++i)
    if (g.output_grad(i) != kNone) used.push_back(g.output_grad(i));
  if (used.size() == sizes.size())
    return g.set_input_grad(
        0, g.emit(kConcat, used, {{"axis", g.attrs().get_int("axis")}}));
  const Shape x = g.shape(g.input(0));
  Ints before(static_cast<size_t>(x.rank()), 0), after = before;
  ValueId sum = kNone;
  for (size_t i = 0; i < sizes.size(); before[axis] += sizes[i++]) {
    if (g.output_grad(i) == kNone) continue;
    after[axis] = x[static_cast<int>(axis)] - before[axis] - sizes[i];
    const ValueId wide = g.emit(kPad, {g.output_grad(i)},
                                {{"before", before}, {"after", after}});
    sum = sum == kNone ? wide : g.emit(kBinary, {sum, wide}, {{"kind", "add"}});
  }
  g.set_input_grad(0, sum);
}

Status lower_split(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  set_parts(node.in(0), node.attrs->get_i("axis"), node.outputs, lowered);
  return ok_status();
}

std::vector<OpExample> examples() {
  return {{.inputs = {f32({2, 3, 5}), f32({2, 1, 5}), f32({2, 4, 5})},
           .attrs = {{"axis", 1}}},
          {.inputs = {f32({3, 2}), f32({3, 4})}, .attrs = {{"axis", 1}}},
          {.inputs = {f32({3, 2})}},
          {.inputs = {s8({1, 7}, 0.1f, 3), s8({2, 7}, 0.1f, 3)}}};
}

std::vector<OpExample> examples_split() {
  return {{.inputs = {f32({2, 8, 5})},
           .attrs = {{"axis", 1}, {"sizes", Ints{3, 1, 4}}}},
          {.inputs = {f32({4, 3})}, .attrs = {{"sizes", Ints{2, 2}}}},
          {.inputs = {s8({3, 7}, 0.1f, 3)},
           .attrs = {{"axis", 1}, {"sizes", Ints{5, 2}}}}};
}

constexpr auto kRows = byte_rows("ft_concat_bytes_c99", &ft_concat_bytes_c99);
constexpr auto kSplitRows =
    byte_rows("ft_split_bytes_c99", &ft_split_bytes_c99);

}  // namespace

constinit const OpDef kConcat = {.name = "concat",
                                 .cost_class = CostClass::kMovement,
                                 .min_inputs = 1,
                                 .max_inputs = kMaxParts,
                                 .infer = infer,
                                 .gradient = gradient,
                                 .lower = lower,
                                 .kernels = kRows,
                                 .examples = examples};

constinit const OpDef kSplit = {.name = "split",
                                .cost_class = CostClass::kMovement,
                                .infer = infer_split,
                                .gradient = gradient_split,
                                .lower = lower_split,
                                .kernels = kSplitRows,
                                .examples = examples_split};

}  // namespace ft::ops
