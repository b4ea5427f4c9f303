// What conv2d, depthwise_conv2d, transpose_conv2d, fully_connected and matmul
// share: geometry from attributes, checks of quantizers, requantization
// constants, and gradient nodes of a fused linear layer.
//
// Attributes: stride_h, stride_w, dilation_h, dilation_w (default 1), pad_top,
// pad_left, pad_bottom, pad_right, act, lora_scaling (default 1), gain_bias.
#pragma once

#include <string_view>
#include <vector>

#include "kernels/conv2d/conv_params.h"
#include "ops/activation_bounds.h"
#include "ops/gradient.h"
#include "ops/op_def.h"

namespace ft::ops {

// |x - zero point| <= 255 and |w| <= 128: longer sums may overflow int32.
constexpr int64_t kMaxInt8SumLength = 65536;

// A convolution's sizes, whichever of its tensors they were read from.
struct ConvSizes {
  int64_t batch, in_h, in_w, in_c, out_h, out_w, out_c, k_h, k_w, groups;
};

// Fails for strides, dilations, paddings or `act` outside of their range.
Status check_conv_attrs(const NodeView& node);
// An attribute that must be given, from 1 to 2^24.
Result<int64_t> size_attr(const NodeView& node, std::string_view name);
// floor((in + padding - dilated kernel) / stride) + 1 per axis; fails if the
// kernel is larger than the padded image. check_conv_attrs() must have passed.
struct ImageSize {
  int64_t h, w;
};
Result<ImageSize> conv_output_size(const NodeView& node, ImageSize in,
                                   ImageSize kernel);
// Depthwise weights [1, kh, kw, outputs] have their outputs last.
bool outputs_last(const Shape& w, int64_t outputs);
// Rank 4 and no empty dimension.
Status check_image(const NodeView& node, size_t i, std::string_view name);

// Input i is int8: one finite positive scale, or with `axis` >= 0 one for each
// index of that axis; the zero point is 0 if `is_weight`.
Status check_s8(const NodeView& node, size_t i, std::string_view name,
                bool is_weight, int axis = -1);
// The output quantizer that the caller wants, if any, has one scale.
Status check_wanted_quant(const NodeView& node);
// x and w of a linear layer: both float of one dtype, both int8, or int8 x with
// float w; `k` is the length of a sum. Gives the dtype of y.
Result<DType> linear_output_dtype(const NodeView& node, int w_axis, int64_t k);
// bias (input 2): [out_c], int32 beside int8 x and w, else as the output.
Status check_bias(const NodeView& node, int64_t out_c, DType y);
// h (input 3) and lora_b [out_c, r] (input 4): both or none. h has the shape
// of y but for its last dimension, which is r, or is [rows of y, r].
Status check_low_rank(const NodeView& node, Shape h_shape, int64_t out_c,
                      DType y);
inline int32_t rank_of(const NodeView& node) {
  return node.has(3) ? static_cast<int32_t>(node.shape(3).back()) : 0;
}

// gain (input 5): [out_c], float32 beside an int8 output, else as the output.
// Attribute gain_bias: 1 if it applies to the bias too.
Status check_gain(const NodeView& node, int64_t out_c, DType y);

ft_conv_params conv_params(const NodeView& node, const ConvSizes& s);
// Sets the activation and quantization fields from x (input 0), y and `act`.
template <class P>
void set_quant_params(const NodeView& node, P& p) {
  const TensorType &x = node.in(0), &y = node.out(0);
  p.act = node.attrs->get_i("act");
  p.x_scale = x.dtype == DType::kS8 ? x.quant.scale[0] : 1.0f;
  p.x_zero_point = x.dtype == DType::kS8 ? x.quant.zero_point[0] : 0;
  if (y.dtype != DType::kS8) return;
  const ActivationBounds bounds = activation_bounds(p.act, y.quant);
  p.y_zero_point = y.quant.zero_point[0];
  p.q_low = bounds.low;
  p.q_high = bounds.high;
}
// aux of an int8 layer: multiplier [out_c], shift [out_c], and
// 1 / (x_scale * w_scale) [out_c], or 1 / w_scale if `side_in_x_units`.
Status add_requantization(const NodeView& node, int64_t out_c,
                          bool side_in_x_units, Lowered& lowered);
// Whether the weights (input 1) and the bias (2, if any) of an int8 layer are
// constants, so that a row may pack them.
bool has_constant_weights(const LowerContext& context);
// aux 3 and 4 of a row that packs: bytes filled by `pack` from w, bias (or
// nullptr), multiplier and shift, the latter two from aux 0 and 1.
using PackFn = void (*)(const void* params, const int8_t* w,
                        const int32_t* bias, const int32_t* multiplier,
                        const int32_t* shift, void* packed, void* channels);
void add_packed_weights(const LowerContext& context, size_t packed_bytes,
                        size_t channels_bytes, PackFn pack, Lowered& lowered);
// Scales of the int8 weights in input i, one for each of `out_c`.
std::vector<float> channel_scales(const TensorType& w, int64_t out_c);

// Gradient before the fused activation and int8 saturation; dy if neither.
ValueId emit_pre_activation_grad(GradientBuilder& g);
// Set the gradients of the bias, and of h (3) and lora_b (4), where needed.
void set_bias_grad(GradientBuilder& g, ValueId dpre, size_t bias = 2);
void set_low_rank_grads(GradientBuilder& g, ValueId dpre);
// Sets the gradient of gain (5), where there is one, and of the bias; gives the
// gradient before the gain. `depthwise`: input 3 is w_delta, not h.
ValueId emit_gain_and_bias_grads(GradientBuilder& g, ValueId dpre,
                                 bool depthwise);
ValueId emit_reshape(GradientBuilder& g, ValueId x, const Shape& shape);
// `attrs` without act and lora_scaling, for a gradient node.
Attrs geometry_attrs(const Attrs& attrs);
// The value itself, or its dequantization if it is int8.
ValueId emit_real(GradientBuilder& g, ValueId x);

}  // namespace ft::ops
