#include "ops/overlap.h"

#include "kernels/bfp_conv2d/bfp_conv2d.h"

namespace ft::ops {
namespace {

int64_t bytes_of(const TensorType& type) {
  return static_cast<int64_t>(type.num_bytes());
}
int64_t element_bytes(const TensorType& type) {
  return static_cast<int64_t>(size_of(type.dtype));
}

// The first byte under each output pixel's window.
class FirstUnderWindow {
 public:
  FirstUnderWindow(const NodeView& node, const ft_conv_params& p)
      : p_(p),
        element_(element_bytes(node.in(0))),
        none_(bytes_of(node.in(0))) {}

  int64_t operator()(int64_t pixel) const {
    const ft_window win = ft_window_of(&p_, static_cast<int32_t>(pixel));
    if (win.ky_begin >= win.ky_end || win.kx_begin >= win.kx_end) return none_;
    return element_ * ft_x_index(&p_, &win, win.ky_begin, win.kx_begin);
  }

 private:
  const ft_conv_params& p_;
  int64_t element_, none_;
};

template <class Unread>
Overlap windows(const NodeView& node, const ft_conv_params& p, Unread unread) {
  return {0, rolling_distance(
                 ft_num_pixels(&p), p.out_c * element_bytes(node.out(0)),
                 bytes_of(node.in(0)), FirstUnderWindow(node, p), unread)};
}

}  // namespace

Overlap windows_overlap(const NodeView& node, const ft_conv_params& p,
                        int64_t pixels) {
  return windows(node, p, [pixels](int64_t u) {
    return std::max<int64_t>(0, u - pixels + 1);
  });
}

Overlap gathered_overlap(const NodeView& node, const ft_conv_params& p,
                         int64_t pixels) {
  const int64_t all = ft_num_pixels(&p);
  return windows(node, p, [all, pixels](int64_t u) {
    return std::min(all, (u / pixels + 1) * pixels);
  });
}

Overlap strips_overlap(const NodeView& node, const ft_conv_params& p,
                       int64_t rows) {
  const int64_t image = int64_t{p.out_h} * p.out_w, strip = rows * p.out_w;
  return windows(node, p, [image, strip](int64_t u) {
    const int64_t first = u / image * image;
    const int64_t end = first + ((u - first) / strip + 1) * strip;
    return std::min(end, first + image);
  });
}

Overlap gradients_overlap(const NodeView& node, const ft_conv_params& p) {
  const int64_t dy_bytes = bytes_of(node.in(0));
  const int64_t dy_pixel = p.out_c * element_bytes(node.in(0));
  // The first of dy's rows or columns that meets one of dx's; -1: none.
  const auto first = [](int32_t at, int32_t pad, int32_t k, int32_t dilation,
                        int32_t stride, int32_t size) {
    for (int32_t i = k - 1; i >= 0; --i) {
      const int32_t from =
          ft_gradient_source(at, pad, i, dilation, stride, size);
      if (from >= 0) return from;
    }
    return -1;
  };
  const auto first_read = [&](int64_t u) {
    const auto row = static_cast<int32_t>(u / p.in_w);
    const auto ix = static_cast<int32_t>(u - int64_t{row} * p.in_w);
    const int32_t image = row / p.in_h;
    const int32_t oy = first(row - image * p.in_h, p.pad_top, p.k_h,
                             p.dilation_h, p.stride_h, p.out_h);
    const int32_t ox =
        first(ix, p.pad_left, p.k_w, p.dilation_w, p.stride_w, p.out_w);
    if (oy < 0 || ox < 0) return dy_bytes;
    return dy_pixel * ((int64_t{image} * p.out_h + oy) * p.out_w + ox);
  };
  return {0, rolling_distance(int64_t{p.batch} * p.in_h * p.in_w,
                              p.in_c * element_bytes(node.out(0)), dy_bytes,
                              first_read, [](int64_t u) { return u + 1; })};
}

Overlap pool_overlap(const NodeView& node, const ft_pool2d_params& p) {
  const int64_t element = element_bytes(node.in(0));
  const auto first_read = [&](int64_t u) {
    const int64_t row = u / p.ow, image = row / p.oh;
    const ft_pool2d_window win =
        ft_pool2d_window_at(&p, static_cast<int32_t>(row - image * p.oh),
                            static_cast<int32_t>(u - row * p.ow));
    return element * (((image * p.h + win.y0) * p.w + win.x0) * p.c);
  };
  return {0, rolling_distance(int64_t{p.n} * p.oh * p.ow,
                              p.c * element_bytes(node.out(0)),
                              bytes_of(node.in(0)), first_read,
                              [](int64_t u) { return u; })};
}

// The first and the last element decide: distances are linear between them.
Overlap elements_overlap(const NodeView& node, int input) {
  const TensorType& in = node.in(static_cast<size_t>(input));
  const int64_t from = element_bytes(in), to = element_bytes(node.out(0));
  const int64_t last = node.out(0).shape.num_elements() - 1;
  // A value that is as wide as what it replaces is read before it is written.
  if (from == to) return {input, 0};
  return {input, static_cast<ptrdiff_t>(std::max(to, to + last * (to - from)))};
}

}  // namespace ft::ops
