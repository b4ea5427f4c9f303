// A wider tensor: `before` and `after` elements along each dimension.
//
// `mode`: constant (default), or a mirror image that repeats the edge
// (symmetric) or not (reflect). `value` is the constant in real units, so that
// 0, the default, is an int8 tensor's zero point.
#include <algorithm>
#include <cmath>

#include "ops/all_ops.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/movement.h"

namespace ft::ops {
namespace {

using Ints = std::vector<int64_t>;

bool is_constant(const Attrs& attrs) {
  return attrs.get_word("mode", "constant") == "constant";
}

// How far beyond the edge a mirror image starts: reflect 1, symmetric 0.
int64_t mirror_gap(const Attrs& attrs) {
  return attrs.get_word("mode") == "reflect" ? 1 : 0;
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY(const Ints before, ints_per_dim(node, "before"));
  FT_TRY(const Ints after, ints_per_dim(node, "after"));
  const std::string mode = node.attrs->get_word("mode", "constant");
  if (mode != "constant" && mode != "reflect" && mode != "symmetric")
    return node.error(fmt::format("unknown mode '{}'", mode));
  Shape y = node.shape(0);
  for (int i = 0; i < y.rank(); ++i) {
    const int64_t b = before[static_cast<size_t>(i)];
    const int64_t a = after[static_cast<size_t>(i)];
    const int64_t most =
        mode == "constant" ? INT32_MAX : y[i] - mirror_gap(*node.attrs);
    if (b < 0 || a < 0 || b > most || a > most)
      return node.error(
          fmt::format("cannot pad dimension {} of {} by {} before and {} "
                      "after in mode {}",
                      i, node.shape(0).to_string(), b, a, mode));
    y.set(i, y[i] + b + a);
  }
  FT_TRY_STATUS(check_filled(node, y));
  return std::vector<TensorType>{retyped(node, y)};
}

// Sum of `dy` folded back along one dimension: the middle, and both mirror
// images read backwards where they came from.
ValueId fold_mirror(GradientBuilder& g, ValueId dy, size_t d, int64_t gap) {
  const int64_t before = g.attrs().get_ints("before")[d];
  const int64_t after = g.attrs().get_ints("after")[d];
  const auto dims = g.shape(dy).dims();
  const Ints zeros(dims.size(), 0), ones(dims.size(), 1);
  const int64_t dim = dims[d] - before - after;
  Ints size(dims.begin(), dims.end()), begin = zeros;
  size[d] = dim;
  begin[d] = before;
  ValueId sum = g.emit(kSlice, {dy}, {{"begin", begin}, {"size", size}});
  // Positions [first - count + 1, first] of dy, backwards, belong to `to` on.
  const auto add = [&](int64_t first, int64_t count, int64_t to) {
    if (count == 0 || sum == kNone) return;
    Ints from = zeros, strides = ones, part = size, pre = zeros, post = zeros;
    from[d] = first;
    strides[d] = -1;
    part[d] = count;
    pre[d] = to;
    post[d] = dim - to - count;
    ValueId image =
        g.emit(kStridedSlice, {dy},
               {{"begin", from}, {"strides", strides}, {"size", part}});
    image = g.emit(kPad, {image}, {{"before", pre}, {"after", post}});
    sum = g.emit(kBinary, {sum, image}, {{"kind", "add"}});
  };
  add(before - 1, before, gap);
  add(before + dim + after - 1, after, dim - after - gap);
  return sum;
}

void gradient(GradientBuilder& g) {
  if (!g.needs_grad(0)) return;
  ValueId dy = g.output_grad();
  if (is_constant(g.attrs())) {
    const auto dims = g.shape(g.input(0)).dims();
    return g.set_input_grad(0,
                            g.emit(kSlice, {dy},
                                   {{"begin", g.attrs().get_ints("before")},
                                    {"size", Ints(dims.begin(), dims.end())}}));
  }
  const size_t rank = static_cast<size_t>(g.shape(g.input(0)).rank());
  for (size_t d = 0; d < rank; ++d) {
    const int64_t padded =
        g.attrs().get_ints("before")[d] + g.attrs().get_ints("after")[d];
    if (padded > 0 && dy != kNone)
      dy = fold_mirror(g, dy, d, mirror_gap(g.attrs()));
  }
  g.set_input_grad(0, dy);
}

// The padding's element as bytes of x's dtype.
Status add_fill(const NodeView& node, Lowered& lowered) {
  const TensorType& x = node.in(0);
  const double value = node.attrs->get_real("value", 0);
  if (x.dtype == DType::kF32) {
    lowered.add_aux<float>(std::array{static_cast<float>(value)});
  } else if (x.dtype == DType::kF64) {
    lowered.add_aux<double>(std::array{value});
  } else if (x.dtype == DType::kS8) {
    const double q = std::round(value / static_cast<double>(x.quant.scale[0]));
    if (std::isnan(q))
      return node.error(fmt::format("cannot pad by {} at the scale {}", value,
                                    x.quant.scale[0]));
    const double clamped = std::clamp(q + x.quant.zero_point[0], -128.0, 127.0);
    lowered.add_aux<int8_t>(std::array{static_cast<int8_t>(clamped)});
  } else if (value == 0) {
    lowered.add_aux<double>(std::array{0.0});  // all bits 0 in every dtype
  } else {
    return node.error(
        fmt::format("cannot pad {} by {}", name_of(x.dtype), value));
  }
  return ok_status();
}

// Position in x of position `i` of y along one dimension.
int64_t mirrored(int64_t i, int64_t before, int64_t dim, int64_t gap) {
  i -= before;
  if (i < 0) return -i - 1 + gap;
  return i < dim ? i : 2 * dim - 1 - gap - i;
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape &x = node.shape(0), &y = node.out(0).shape;
  const Ints before = node.attrs->get_ints("before");
  if (is_constant(*node.attrs)) {
    const Ints strides = strides_of(y);
    int64_t offset = 0;
    for (size_t i = 0; i < before.size(); ++i) offset += before[i] * strides[i];
    lowered.set_params(strided_params(node.in(0).dtype, x.dims(), strides,
                                      offset, y.num_elements()));
    return add_fill(node, lowered);
  }
  const Ints strides = strides_of(x);
  std::vector<Ints> tables;
  for (int d = 0; d < x.rank(); ++d) {
    const auto at = static_cast<size_t>(d);
    Ints& table = tables.emplace_back();
    for (int64_t i = 0; i < y[d]; ++i)
      table.push_back(strides[at] *
                      mirrored(i, before[at], x[d], mirror_gap(*node.attrs)));
  }
  set_table_read(node.in(0).dtype, tables, lowered);
  return ok_status();
}

bool accepts_constant(const LowerContext& context, const Lowered&) {
  return is_constant(context.node.attrs);
}
bool accepts_mirror(const LowerContext& context, const Lowered&) {
  return !is_constant(context.node.attrs);
}

std::vector<OpExample> examples() {
  const Attrs some = {{"before", Ints{0, 2, 1, 0}},
                      {"after", Ints{1, 0, 3, 0}}};
  Attrs valued = some, reflect = some, symmetric = some;
  valued.set("value", -0.75);
  for (Attrs* attrs : {&reflect, &symmetric}) {
    attrs->set("after", Ints{0, 1, 2, 0});
    attrs->set("mode", attrs == &reflect ? "reflect" : "symmetric");
  }
  return {{.inputs = {f32({2, 3, 4, 3})}, .attrs = some},
          {.inputs = {f32({1, 3, 2, 5})}, .attrs = valued},
          {.inputs = {f32({2, 3, 4, 3})}, .attrs = reflect},
          {.inputs = {f32({2, 3, 4, 3})}, .attrs = symmetric},
          {.inputs = {s8({2, 3, 4, 3}, 0.1f, -7)}, .attrs = some},
          {.inputs = {s8({2, 3, 4, 3}, 0.1f, -7)}, .attrs = valued},
          {.inputs = {s8({2, 3, 4, 3}, 0.1f, -7)}, .attrs = reflect}};
}

constexpr auto kConstantRows =
    byte_rows("ft_strided_write_bytes_c99", &ft_strided_write_bytes_c99,
              accepts_constant);
constexpr auto kMirrorRows = byte_rows(
    "ft_table_read_bytes_c99", &ft_table_read_bytes_c99, accepts_mirror);
constexpr auto kRows = joined(kConstantRows, kMirrorRows);

}  // namespace

constinit const OpDef kPad = {.name = "pad",
                              .cost_class = CostClass::kMovement,
                              .infer = infer,
                              .gradient = gradient,
                              .lower = lower,
                              .kernels = kRows,
                              .examples = examples};

}  // namespace ft::ops
