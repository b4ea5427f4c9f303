#include "ops/pool2d.h"

#include "ops/activation_bounds.h"
#include "ops/all_ops.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/movement.h"

namespace ft {
namespace {

// Sums of int8 over a window of this size are far from overflow.
constexpr int64_t kMaxFilter = 4096;

struct Window {
  int64_t filter, stride, before, after;
};

// How many windows lie along `size` pixels; -1 if the numbers make no sense.
int64_t num_windows(int64_t size, const Window& w) {
  const bool sane = w.filter >= 1 && w.filter <= kMaxFilter && w.stride >= 1 &&
                    w.stride <= INT32_MAX && w.before >= 0 && w.after >= 0 &&
                    w.before < w.filter && w.after < w.filter;
  if (!sane || size + w.before + w.after < w.filter) return -1;
  return (size + w.before + w.after - w.filter) / w.stride + 1;
}

}  // namespace

Result<ft_pool2d_params> pool2d_params(const NodeView& node,
                                       const Shape& image) {
  if (image.rank() != 4)
    return node.error(
        fmt::format("needs an image [n, h, w, c], got {}", image.to_string()));
  FT_TRY_STATUS(check_filled(node, image));
  FT_TRY_STATUS(check_act(node));
  const auto attr = [&](const char* name, int64_t fallback) {
    return node.attrs->get_int(name, fallback);
  };
  const Window rows{attr("filter_h", 1), attr("stride_h", 1),
                    attr("pad_top", 0), attr("pad_bottom", 0)};
  const Window cols{attr("filter_w", 1), attr("stride_w", 1),
                    attr("pad_left", 0), attr("pad_right", 0)};
  const int64_t oh = num_windows(image[1], rows);
  const int64_t ow = num_windows(image[2], cols);
  if (oh < 1 || ow < 1)
    return node.error(fmt::format(
        "windows {}x{} with stride {}x{} and padding {}, {}, {}, {} (top, "
        "left, bottom, right; each below the window) do not fit {}",
        rows.filter, cols.filter, rows.stride, cols.stride, rows.before,
        cols.before, rows.after, cols.after, image.to_string()));
  FT_TRY_STATUS(check_filled(node, {image[0], oh, ow, image[3]}));
  const auto i32 = [](int64_t v) { return static_cast<int32_t>(v); };
  return ft_pool2d_params{.n = i32(image[0]),
                          .h = i32(image[1]),
                          .w = i32(image[2]),
                          .c = i32(image[3]),
                          .oh = i32(oh),
                          .ow = i32(ow),
                          .filter_h = i32(rows.filter),
                          .filter_w = i32(cols.filter),
                          .stride_h = i32(rows.stride),
                          .stride_w = i32(cols.stride),
                          .pad_top = i32(rows.before),
                          .pad_left = i32(cols.before),
                          .act = i32(attr("act", FT_ACT_NONE)),
                          .act_min = -128,
                          .act_max = 127};
}

Result<ft_pool2d_params> pool2d_grad_params(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY_STATUS(check_real(node, 0));
  const Shape& dy = node.shape(0);
  if (dy.rank() != 4)
    return node.error(
        fmt::format("needs dy [n, h, w, c], got {}", dy.to_string()));
  const Shape image{dy[0], node.attrs->get_int("in_h"),
                    node.attrs->get_int("in_w"), dy[3]};
  FT_TRY(const ft_pool2d_params p, pool2d_params(node, image));
  if (pool2d_output(p) != dy)
    return node.error(
        fmt::format("an image {} gives {}, but dy is {}", image.to_string(),
                    pool2d_output(p).to_string(), dy.to_string()));
  return p;
}

ValueId pool2d_act_grad(GradientBuilder& g) {
  const int64_t act = g.attrs().get_int("act", FT_ACT_NONE);
  if (act == FT_ACT_NONE) return g.output_grad();
  return g.emit(ops::kActivationGrad, {g.output_grad(), g.output()},
                {{"act", act}});
}

Attrs pool2d_grad_attrs(GradientBuilder& g) {
  Attrs attrs = g.attrs();
  attrs.set("act", FT_ACT_NONE);
  attrs.set("in_h", g.shape(g.input(0))[1]);
  attrs.set("in_w", g.shape(g.input(0))[2]);
  return attrs;
}

Result<std::vector<TensorType>> infer_pool2d(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY_STATUS(check_real_or_per_tensor(node, 0));
  FT_TRY(const ft_pool2d_params p, pool2d_params(node, node.shape(0)));
  return std::vector<TensorType>{retyped(node, pool2d_output(p))};
}

Status lower_pool2d(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  FT_TRY(ft_pool2d_params p, pool2d_params(node, node.shape(0)));
  if (node.out(0).dtype == DType::kS8) {
    const ActivationBounds bounds = activation_bounds(p.act, node.out(0).quant);
    p.act_min = bounds.low;
    p.act_max = bounds.high;
  }
  lowered.set_params(p);
  return ok_status();
}

Status lower_pool2d_grad(const LowerContext& context, Lowered& lowered) {
  FT_TRY(const ft_pool2d_params p, pool2d_grad_params(context.view));
  lowered.set_params(p);
  return ok_status();
}

namespace {

int64_t window_size(const NodeView& node) {
  return node.attrs->get_int("filter_h", 1) *
         node.attrs->get_int("filter_w", 1);
}

}  // namespace

int64_t pool2d_macs(const NodeView& node) {
  return node.out(0).shape.num_elements() * window_size(node);
}

int64_t pool2d_grad_macs(const NodeView& node) {
  return node.shape(0).num_elements() * window_size(node);
}

std::vector<OpExample> pool2d_examples() {
  const Attrs global = {{"filter_h", 5}, {"filter_w", 3}};
  const Attrs padded = {{"filter_h", 3},   {"filter_w", 2}, {"stride_h", 2},
                        {"stride_w", 1},   {"pad_top", 1},  {"pad_left", 0},
                        {"pad_bottom", 2}, {"pad_right", 1}};
  Attrs relu = padded, relu6 = padded;
  relu.set("act", FT_ACT_RELU);
  relu6.set("act", FT_ACT_RELU6);
  return {
      {.inputs = {f32({2, 5, 3, 4})}, .attrs = global},
      {.inputs = {f32({2, 7, 5, 3})}, .attrs = padded},
      {.inputs = {f32({1, 6, 4, 3})}, .attrs = relu},
      {.inputs = {f32({1, 6, 4, 3})}, .attrs = relu6, .low = -9, .high = 20},
      {.inputs = {s8({2, 5, 3, 4}, 0.1f, -5)}, .attrs = global},
      {.inputs = {s8({2, 7, 5, 3}, 0.1f, 9)}, .attrs = padded},
      {.inputs = {s8({1, 6, 4, 3}, 0.05f, -20)}, .attrs = relu6},
      {.inputs = {s8({1, 4, 3, 85}, 0.05f, -20)}, .attrs = relu}};
}

}  // namespace ft
