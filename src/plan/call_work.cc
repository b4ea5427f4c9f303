#include "plan/call_work.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

namespace ft {
namespace {

double last_dimension(const Shape& shape) {
  return shape.rank() > 0
             ? static_cast<double>(std::max<int64_t>(shape.back(), 1))
             : 1;
}

// A window's way along one axis of an image.
struct Sweep {
  int64_t image, window, steps, stride, dilation, pad;

  // How many of the window's places lie inside, of steps * window.
  double inside() const {
    int64_t count = 0;
    for (int64_t step = 0; step < steps; ++step)
      for (int64_t k = 0; k < window; ++k) {
        const int64_t at = step * stride - pad + k * dilation;
        count += at >= 0 && at < image;
      }
    return static_cast<double>(count) / static_cast<double>(steps * window);
  }
};

bool is_image(const Shape& shape) {
  return shape.rank() == 4 && shape.num_elements() > 0;
}

// The images in front of and behind a convolution and its window, read from
// what such ops have in common (ops/conv_common.h): x, w -> y; with in_h an
// input gradient, dy -> dx, and with k_h a weight gradient, x, dy -> dw.
struct Window {
  Shape in, out;
  int64_t h, w;
};

std::optional<Window> window_of(const NodeView& node) {
  if (node.outputs.empty() || !node.has(0) || !node.has(1)) return std::nullopt;
  const Shape &first = node.shape(0), &second = node.shape(1);
  const Shape& result = node.out(0).shape;
  if (!is_image(first)) return std::nullopt;
  if (node.attrs->has("k_h"))
    return is_image(second)
               ? std::optional(Window{first, second, node.attrs->get_i("k_h"),
                                      node.attrs->get_i("k_w")})
               : std::nullopt;
  const bool backward = node.attrs->has("in_h");
  for (size_t i = 1; i < node.inputs.size() && i < 3; ++i)
    if (node.has(i) && is_image(node.shape(i)) && is_image(result))
      return backward
                 ? Window{result, first, node.shape(i)[1], node.shape(i)[2]}
                 : Window{first, result, node.shape(i)[1], node.shape(i)[2]};
  return std::nullopt;
}

// The part of a convolution's products whose window lies inside of the image.
double share_inside(const NodeView& node) {
  const CostClass kind = node.op->cost_class;
  if (kind != CostClass::kMatrix && kind != CostClass::kDepthwise) return 1;
  const std::optional<Window> window = window_of(node);
  if (!window) return 1;
  const auto sweep = [&](int axis, const std::string& name, int64_t places) {
    const std::string pad = axis == 1 ? "pad_top" : "pad_left";
    return Sweep{.image = window->in[axis],
                 .window = places,
                 .steps = window->out[axis],
                 .stride = node.attrs->get_i("stride_" + name, 1),
                 .dilation = node.attrs->get_i("dilation_" + name, 1),
                 .pad = node.attrs->get_i(pad, 0)}
        .inside();
  };
  return sweep(1, "h", window->h) * sweep(2, "w", window->w);
}

}  // namespace

CallWork work_of(const NodeView& node) {
  const bool has_output = !node.outputs.empty();
  const bool has_input = node.has(0);
  if (!has_output && !has_input) return {};
  const Shape& result = has_output ? node.out(0).shape : node.shape(0);
  CallWork work{.elements = static_cast<double>(result.num_elements())};
  const double all =
      node.op->macs ? static_cast<double>(node.op->macs(node)) : work.elements;
  work.macs = all * share_inside(node);
  work.outside = all - work.macs;
  work.rows = work.elements / last_dimension(result);
  if (!has_input) return work;
  const double last = last_dimension(node.shape(0));
  work.runs = work.macs / last;
  work.reads = static_cast<double>(node.shape(0).num_elements());
  work.blocks = work.runs * std::ceil(last / 16);
  return work;
}

std::string_view variant_of(const NodeView& node) {
  if (node.op->cost_class == CostClass::kDepthwise)
    return node.has(3) ? ":window+side" : ":window";
  if (!node.op->macs || node.outputs.empty() || !node.has(0)) return "";
  const auto elements = static_cast<double>(node.out(0).shape.num_elements());
  const auto macs = static_cast<double>(node.op->macs(node));
  // One product an element: loads and stores are what it costs.
  if (macs == elements && node.op->cost_class == CostClass::kMatrix)
    return ":outer";
  // An adapter's products are no whole number of runs.
  const double taps =
      macs / last_dimension(node.shape(0)) / std::max(elements, 1.0);
  if (taps < 1) return "";
  const bool whole = std::abs(taps - std::round(taps)) < 1e-9;
  if (taps < 2) return whole ? ":point" : ":point+side";
  return whole ? ":window" : ":window+side";
}

}  // namespace ft
