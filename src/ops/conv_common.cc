#include "ops/conv_common.h"

#include <cmath>

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/quantize_multiplier.h"

namespace ft::ops {
namespace {

// Keeps every sum of positions and paddings far inside int32.
constexpr int64_t kMaxSize = int64_t{1} << 24;
Status check_attr(const NodeView& node, std::string_view name, int64_t low,
                  int64_t fallback) {
  const int64_t v = node.attrs->get_int(name, fallback);
  if (v >= low && v <= kMaxSize) return ok_status();
  return node.error(
      fmt::format("{} is {}, not from {} to {}", name, v, low, kMaxSize));
}

Result<int64_t> output_size(const NodeView& node, const char* axis, int64_t in,
                            int64_t kernel) {
  const bool h = axis[0] == 'h';
  const int64_t stride = node.attrs->get_int(h ? "stride_h" : "stride_w", 1);
  const int64_t dilation =
      node.attrs->get_int(h ? "dilation_h" : "dilation_w", 1);
  const int64_t padded = in + node.attrs->get_int(h ? "pad_top" : "pad_left") +
                         node.attrs->get_int(h ? "pad_bottom" : "pad_right");
  const int64_t extent = (kernel - 1) * dilation + 1;
  if (in > kMaxSize || extent > padded)
    return node.error(
        fmt::format("kernel of {} {} (dilation {}) does not fit the padded "
                    "image of {}",
                    axis, kernel, dilation, padded));
  return (padded - extent) / stride + 1;
}

bool is_positive(float scale) { return std::isfinite(scale) && scale > 0; }

}  // namespace

Status check_conv_attrs(const NodeView& node) {
  for (const char* name : {"stride_h", "stride_w", "dilation_h", "dilation_w"})
    FT_TRY_STATUS(check_attr(node, name, 1, 1));
  for (const char* name : {"pad_top", "pad_left", "pad_bottom", "pad_right"})
    FT_TRY_STATUS(check_attr(node, name, 0, 0));
  return check_act(node);
}

Result<int64_t> size_attr(const NodeView& node, std::string_view name) {
  FT_TRY_STATUS(check_attr(node, name, 1, 0));
  return node.attrs->get_int(name);
}

Result<ImageSize> conv_output_size(const NodeView& node, ImageSize in,
                                   ImageSize kernel) {
  FT_TRY(const int64_t h, output_size(node, "height", in.h, kernel.h));
  FT_TRY(const int64_t w, output_size(node, "width", in.w, kernel.w));
  return ImageSize{h, w};
}

Status check_image(const NodeView& node, size_t i, std::string_view name) {
  const Shape& s = node.shape(i);
  if (s.rank() == 4 && s[0] > 0 && s[1] > 0 && s[2] > 0 && s[3] > 0)
    return ok_status();
  return node.error(fmt::format("{} has shape {}, needs four dimensions >= 1",
                                name, s.to_string()));
}

Status check_s8(const NodeView& node, size_t i, std::string_view name,
                bool is_weight, int axis) {
  const QuantParams& q = node.in(i).quant;
  const bool per_channel = q.scale.size() > 1;
  if (q.scale.empty() || q.scale.size() != q.zero_point.size())
    return node.error(fmt::format("{} has {} scales and {} zero points", name,
                                  q.scale.size(), q.zero_point.size()));
  if (per_channel &&
      (axis < 0 || q.quantized_dimension != axis ||
       static_cast<int64_t>(q.scale.size()) != node.shape(i)[axis]))
    return node.error(fmt::format(
        "{} {} cannot have {} scales along dimension {}", name,
        node.in(i).to_string(), q.scale.size(), q.quantized_dimension));
  for (size_t c = 0; c < q.scale.size(); ++c) {
    if (!is_positive(q.scale[c]))
      return node.error(fmt::format("{} has scale {}", name, q.scale[c]));
    const int32_t zero = q.zero_point[c];
    if (is_weight ? zero != 0 : zero < -128 || zero > 127)
      return node.error(fmt::format("{} has zero point {}", name, zero));
  }
  return ok_status();
}

Status check_wanted_quant(const NodeView& node) {
  if (node.wanted_quant.empty() || node.wanted_quant[0].empty())
    return ok_status();
  const QuantParams& q = node.wanted_quant[0];
  if (q.scale.size() == 1 && q.zero_point.size() == 1 &&
      is_positive(q.scale[0]) && q.zero_point[0] >= -128 &&
      q.zero_point[0] <= 127)
    return ok_status();
  return node.error(
      "the output needs one positive scale and a zero point of int8");
}

Result<DType> linear_output_dtype(const NodeView& node, int w_axis, int64_t k) {
  const DType x = node.in(0).dtype, w = node.in(1).dtype;
  if (x == DType::kS8) FT_TRY_STATUS(check_s8(node, 0, "x", false));
  if (w == DType::kS8) FT_TRY_STATUS(check_s8(node, 1, "w", true, w_axis));
  if (x == DType::kS8 && w == DType::kS8) {
    if (k > kMaxInt8SumLength)
      return node.error(fmt::format(
          "sums of {} int8 products may overflow int32, at most {} do not", k,
          kMaxInt8SumLength));
    FT_TRY_STATUS(check_wanted_quant(node));
    return DType::kS8;
  }
  if (x == DType::kS8 && w == DType::kF32) return w;
  if (is_real(x) && x == w) return x;
  return node.error(fmt::format("x is {} and w is {}", name_of(x), name_of(w)));
}

Status check_bias(const NodeView& node, int64_t out_c, DType y) {
  if (!node.has(2)) return ok_status();
  const DType wanted = y == DType::kS8 ? DType::kS32 : y;
  if (node.in(2).dtype == wanted && node.shape(2) == Shape{out_c})
    return ok_status();
  return node.error(fmt::format("bias is {}, needs {}[{}]",
                                node.in(2).to_string(), name_of(wanted),
                                out_c));
}

Status check_low_rank(const NodeView& node, Shape h_shape, int64_t out_c,
                      DType y) {
  if (node.has(3) != node.has(4))
    return node.error("h and lora_b must be given together");
  if (!node.has(3)) return ok_status();
  const DType wanted = y == DType::kS8 ? DType::kF32 : y;
  const Shape &h = node.shape(3), &b = node.shape(4);
  const int64_t r = h.rank() > 0 ? h.back() : 0;
  const int64_t rows = h_shape.num_elements() / h_shape.back();
  h_shape.set(h_shape.rank() - 1, r);
  if (r >= 1 && (h == h_shape || h == Shape{rows, r}) && b == Shape{out_c, r} &&
      node.in(3).dtype == wanted && node.in(4).dtype == wanted)
    return ok_status();
  return node.error(fmt::format(
      "h is {} and lora_b {}, needs {}{} but for the last dimension r, and "
      "[{}, r]",
      node.in(3).to_string(), node.in(4).to_string(), name_of(wanted),
      h_shape.to_string(), out_c));
}

Status check_gain(const NodeView& node, int64_t out_c, DType y) {
  if (!node.has(5)) return ok_status();
  const DType wanted = y == DType::kS8 ? DType::kF32 : y;
  if (node.in(5).dtype == wanted && node.shape(5) == Shape{out_c})
    return ok_status();
  return node.error(fmt::format("gain is {}, needs {}[{}]",
                                node.in(5).to_string(), name_of(wanted),
                                out_c));
}

ft_conv_params conv_params(const NodeView& node, const ConvSizes& s) {
  const auto i32 = [](int64_t v) { return static_cast<int32_t>(v); };
  const Attrs& a = *node.attrs;
  return {.batch = i32(s.batch),
          .in_h = i32(s.in_h),
          .in_w = i32(s.in_w),
          .in_c = i32(s.in_c),
          .out_h = i32(s.out_h),
          .out_w = i32(s.out_w),
          .out_c = i32(s.out_c),
          .k_h = i32(s.k_h),
          .k_w = i32(s.k_w),
          .stride_h = a.get_i("stride_h", 1),
          .stride_w = a.get_i("stride_w", 1),
          .dilation_h = a.get_i("dilation_h", 1),
          .dilation_w = a.get_i("dilation_w", 1),
          .pad_top = a.get_i("pad_top"),
          .pad_left = a.get_i("pad_left"),
          .groups = i32(s.groups),
          .rank = 0,
          .act = FT_ACT_NONE,
          .gain_bias = a.get_i("gain_bias"),
          .x_zero_point = 0,
          .y_zero_point = 0,
          .q_low = -128,
          .q_high = 127,
          .x_scale = 1,
          .lora_scaling = static_cast<float>(a.get_real("lora_scaling", 1))};
}

bool outputs_last(const Shape& w, int64_t outputs) {
  return w.rank() == 4 && w[0] == 1 && outputs == w[3] && w[3] != 1;
}

std::vector<float> channel_scales(const TensorType& w, int64_t out_c) {
  std::vector<float> scales = w.quant.scale;
  if (scales.size() == 1)
    scales.assign(static_cast<size_t>(out_c), w.quant.scale[0]);
  return scales;
}

Status add_requantization(const NodeView& node, int64_t out_c,
                          bool side_in_x_units, Lowered& lowered) {
  const float x_scale = node.in(0).quant.scale[0];
  const float y_scale = node.out(0).quant.scale[0];
  std::vector<int32_t> multiplier, shift;
  std::vector<float> inv_acc_scale;
  for (const float w_scale : channel_scales(node.in(1), out_c)) {
    const double product = static_cast<double>(x_scale) * w_scale;
    const auto q = quantize_multiplier(product / static_cast<double>(y_scale));
    multiplier.push_back(q.multiplier);
    shift.push_back(q.shift);
    inv_acc_scale.push_back(1.0f /
                            (side_in_x_units ? w_scale : x_scale * w_scale));
  }
  lowered.add_aux<int32_t>(multiplier);
  lowered.add_aux<int32_t>(shift);
  lowered.add_aux<float>(inv_acc_scale);
  return ok_status();
}

bool has_constant_weights(const LowerContext& context) {
  return !context.constant(1).empty() &&
         (!context.view.has(2) || !context.constant(2).empty());
}

void add_packed_weights(const LowerContext& context, size_t packed_bytes,
                        size_t channels_bytes, PackFn pack, Lowered& lowered) {
  std::vector<std::byte> packed(packed_bytes), channels(channels_bytes);
  const auto as_int32 = [](std::span<const std::byte> bytes) {
    return reinterpret_cast<const int32_t*>(bytes.data());
  };
  pack(lowered.params.data(),
       reinterpret_cast<const int8_t*>(context.constant(1).data()),
       as_int32(context.constant(2)), as_int32(lowered.aux[0].bytes),
       as_int32(lowered.aux[1].bytes), packed.data(), channels.data());
  lowered.aux.push_back({std::move(packed)});
  lowered.aux.push_back({std::move(channels)});
}

ValueId emit_pre_activation_grad(GradientBuilder& g) {
  const int64_t act = g.attrs().get_int("act");
  const bool saturates = g.type(g.output()).dtype == DType::kS8;
  if (act == FT_ACT_NONE && !saturates) return g.output_grad();
  return g.emit(kActivationGrad, {g.output_grad(), g.output()}, {{"act", act}});
}

ValueId emit_reshape(GradientBuilder& g, ValueId x, const Shape& shape) {
  if (x == kNone || g.shape(x) == shape) return x;
  const std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
  return g.emit(kReshape, {x}, {{"shape", dims}});
}

void set_bias_grad(GradientBuilder& g, ValueId dpre, size_t bias) {
  if (dpre == kNone || g.input(bias) == kNone || !g.needs_grad(bias)) return;
  std::vector<int64_t> axes;
  for (int i = 0; i + 1 < g.shape(dpre).rank(); ++i) axes.push_back(i);
  g.set_input_grad(bias,
                   g.emit(kReduce, {dpre},
                          {{"kind", "sum"}, {"axes", axes}, {"keep_dims", 0}}));
}

ValueId emit_gain_and_bias_grads(GradientBuilder& g, ValueId dpre,
                                 bool depthwise) {
  const bool gain_bias = g.attrs().get_int("gain_bias") != 0;
  const ValueId gain = g.input(5);
  const auto bias_grads = [&](ValueId dy) {
    set_bias_grad(g, dy);
    if (depthwise) set_bias_grad(g, dy, 4);
  };
  if (dpre == kNone || gain == kNone) {
    bias_grads(dpre);
    return dpre;
  }
  if (!gain_bias) bias_grads(dpre);
  if (g.needs_grad(5)) {
    Attrs attrs = geometry_attrs(g.attrs());
    attrs.set("lora_scaling", g.attrs().get_real("lora_scaling", 1));
    attrs.set("depthwise", int64_t{depthwise});
    const ValueId h = depthwise ? kNone : g.input(3);
    const ValueId lora_b = depthwise ? kNone : g.input(4);
    const ValueId delta = depthwise ? g.input(3) : kNone;
    g.set_input_grad(
        5, g.emit(kGainGrad,
                  {g.input(0), g.input(1), dpre, gain_bias ? g.input(2) : kNone,
                   h, lora_b, delta},
                  attrs));
  }
  const ValueId inside = g.emit(kBinary, {dpre, gain}, {{"kind", "mul"}});
  if (gain_bias) bias_grads(inside);
  return inside;
}

void set_low_rank_grads(GradientBuilder& g, ValueId dpre) {
  if (dpre == kNone || g.input(3) == kNone) return;
  const Shape shape = g.shape(dpre), h_shape = g.shape(g.input(3));
  const int64_t rows = shape.num_elements() / shape.back();
  const double scaling = g.attrs().get_real("lora_scaling", 1);
  const ValueId dy = emit_reshape(g, dpre, {rows, shape.back()});
  if (g.needs_grad(4)) {
    const ValueId h = emit_reshape(g, g.input(3), {rows, h_shape.back()});
    g.set_input_grad(
        4, g.emit(kMatmul, {dy, h}, {{"trans_a", 1}, {"alpha", scaling}}));
  }
  if (g.needs_grad(3)) {
    const ValueId dh = g.emit(kMatmul, {dy, g.input(4)}, {{"alpha", scaling}});
    g.set_input_grad(3, emit_reshape(g, dh, h_shape));
  }
}

Attrs geometry_attrs(const Attrs& attrs) {
  Attrs kept;
  for (const auto& [name, value] : attrs.all())
    if (name != "act" && name != "lora_scaling" && name != "gain_bias")
      kept.set(name, value);
  return kept;
}

ValueId emit_real(GradientBuilder& g, ValueId x) {
  if (g.type(x).dtype != DType::kS8) return x;
  return g.emit(kDequantize, {x});
}

}  // namespace ft::ops
