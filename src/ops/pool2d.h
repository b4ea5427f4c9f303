// Windows of 2-D pooling: attributes to kernel parameters, with every check.
#pragma once

#include "kernels/pool2d/pool2d.h"
#include "ops/checks.h"

namespace ft {

// The window attributes filter_h, filter_w, stride_h, stride_w (default 1),
// pad_top, pad_left, pad_bottom, pad_right (0) and act over an image
// [n, h, w, c] -> [n, oh, ow, c]. Fails with a sentence unless every window
// touches the image and every tensor has 1 to 2^31 - 1 elements.
Result<ft_pool2d_params> pool2d_params(const NodeView& node,
                                       const Shape& image);
// The same for a gradient: the image comes from in_h and in_w, and dy (input
// 0) must have the shape of the pool's output.
Result<ft_pool2d_params> pool2d_grad_params(const NodeView& node);

inline Shape pool2d_image(const ft_pool2d_params& p) {
  return {p.n, p.h, p.w, p.c};
}
inline Shape pool2d_output(const ft_pool2d_params& p) {
  return {p.n, p.oh, p.ow, p.c};
}

class GradientBuilder;
// Shared by both gradient rules: dy behind the fused activation, and the
// attributes of the gradient op.
ValueId pool2d_act_grad(GradientBuilder& g);
Attrs pool2d_grad_attrs(GradientBuilder& g);

// Shape rule and lowering of the two forward ops.
Result<std::vector<TensorType>> infer_pool2d(const NodeView& node);
Status lower_pool2d(const LowerContext& context, Lowered& lowered);
Status lower_pool2d_grad(const LowerContext& context, Lowered& lowered);
int64_t pool2d_macs(const NodeView& node);
int64_t pool2d_grad_macs(const NodeView& node);
// Windows with odd sizes, strides, padding and activations.
std::vector<OpExample> pool2d_examples();

}  // namespace ft
