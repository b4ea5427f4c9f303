// An int8 depthwise convolution with 16-bit weights that can be swapped. The
// loops live in kernels/wide_depthwise_conv2d/.
//
// wide_depthwise_conv2d: x [n, h, w, cin], w int16 [cout padded to a multiple
// of 4, kh * kw] with the deployed weights' scales, start int32 [cout].
// Attributes as depthwise_conv2d's, and k_h, k_w.
#include "kernels/wide_depthwise_conv2d/wide_depthwise_conv2d.h"

#include <cmath>

#include "kernels/quant/s8_device.h"
#include "kernels/wide_depthwise_conv2d/helium_blocks.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/linear_examples.h"
#include "ops/side_ops.h"

namespace ft::ops {
namespace {

int64_t padded(int64_t channels) { return (channels + 3) / 4 * 4; }

Status check_scales(const NodeView& node) {
  const QuantParams& q = node.in(1).quant;
  const auto rows = static_cast<size_t>(node.shape(1)[0]);
  if (q.scale.empty() || (q.scale.size() > 1 && q.scale.size() != rows) ||
      (q.scale.size() > 1 && q.quantized_dimension != 0))
    return node.error(
        fmt::format("w has {} scales for {} channels", q.scale.size(), rows));
  for (const float scale : q.scale)
    if (!std::isfinite(scale) || scale <= 0)
      return node.error(fmt::format("w has scale {}", scale));
  return ok_status();
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_image(node, 0, "x"));
  if (node.in(0).dtype != DType::kS8 || node.in(1).dtype != DType::kS16 ||
      node.in(2).dtype != DType::kS32)
    return node.error("needs x of int8, w of int16 and start of int32");
  FT_TRY_STATUS(check_s8(node, 0, "x", false));
  FT_TRY_STATUS(check_wanted_quant(node));
  FT_TRY_STATUS(check_conv_attrs(node));
  FT_TRY(const int64_t k_h, size_attr(node, "k_h"));
  FT_TRY(const int64_t k_w, size_attr(node, "k_w"));
  const Shape &x = node.shape(0), &w = node.shape(1), &start = node.shape(2);
  if (start.rank() != 1 || start[0] < 1 || start[0] % x[3] != 0)
    return node.error(fmt::format("start is {}, needs a multiple of {} values",
                                  node.in(2).to_string(), x[3]));
  if (w != Shape{padded(start[0]), k_h * k_w})
    return node.error(fmt::format("w is {}, needs [{}, {}]",
                                  node.in(1).to_string(), padded(start[0]),
                                  k_h * k_w));
  FT_TRY_STATUS(check_scales(node));
  FT_TRY(const ImageSize out, conv_output_size(node, {x[1], x[2]}, {k_h, k_w}));
  const Shape y{x[0], out.h, out.w, start[0]};
  FT_TRY_STATUS(check_count(node, y));
  return std::vector<TensorType>{
      {.dtype = DType::kS8, .shape = y, .quant = {}}};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape &x = node.shape(0), &y = node.out(0).shape;
  ft_conv_params p = conv_params(node, {.batch = x[0],
                                        .in_h = x[1],
                                        .in_w = x[2],
                                        .in_c = x[3],
                                        .out_h = y[1],
                                        .out_w = y[2],
                                        .out_c = y[3],
                                        .k_h = node.attrs->get_int("k_h"),
                                        .k_w = node.attrs->get_int("k_w"),
                                        .groups = x[3]});
  set_quant_params(node, p);
  lowered.set_params(p);
  FT_TRY_STATUS(add_requantization(node, y[3], true, lowered));
  lowered.aux.pop_back();  // the float scale of a float side
  return ok_status();
}

int64_t macs(const NodeView& node) {
  return node.out(0).shape.num_elements() * node.shape(1)[1];
}

OpExample example(const TensorType& x, int64_t out_c, Shape kernel, Attrs attrs,
                  float y_scale) {
  TensorType w = s8_per_channel({padded(out_c), kernel[0] * kernel[1]}, 0);
  w.dtype = DType::kS16;
  attrs.set("k_h", kernel[0]);
  attrs.set("k_w", kernel[1]);
  return {.inputs = {x, w, s32({out_c})},
          .attrs = attrs,
          .out_quant = quant_of_output(y_scale, -12)};
}

std::vector<OpExample> examples() {
  const Attrs same{{"pad_top", 1},
                   {"pad_left", 1},
                   {"pad_bottom", 1},
                   {"pad_right", 1},
                   {"act", FT_ACT_RELU}};
  Attrs strided{{"stride_h", 2}, {"stride_w", 2}, {"pad_right", 1}};
  std::vector<OpExample> all = {
      example(s8({1, 5, 4, 8}, 0.03f, 9), 8, {3, 3}, same, 0.2f),
      example(s8({2, 6, 5, 20}, 0.05f, -128), 20, {3, 3}, strided, 0.4f),
      example(s8({1, 6, 4, 6}, 0.05f, 1), 6, {2, 3}, {{"dilation_h", 2}}, 0.2f),
      example(s8({1, 6, 8, 3}, 0.05f, 1), 6, {1, 2}, same, 0.2f),
      example(s8({1, 3, 3, 4}, 0.9f, 127), 4, {3, 3}, same, 0.004f)};
  all[3].note = "two outputs a channel";
  all[4].note = "factor above 1: shifts left";
  return all;
}

// Whole words of channels, one output for each input channel.
bool accepts_armdsp(const LowerContext&, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv_params>();
  return p.out_c == p.in_c && p.out_c % 4 == 0;
}

// Sums are divided by 2^FT_WIDE_BITS before they are requantized, so that all
// are small enough for a plain formula.
std::vector<std::byte> channels_of(const Lowered& lowered) {
  const auto p = lowered.params_as<ft_conv_params>();
  const ft_device_layer layer{.out_c = p.out_c,
                              .x_zero_point = 0,
                              .y_zero_point = p.y_zero_point,
                              .stride = 0,
                              .step = 0,
                              .count = 0,
                              .is_fixed = 0,
                              .added = 1 << (31 - FT_WIDE_BITS)};
  const auto as_int32 = [](std::span<const std::byte> bytes) {
    return reinterpret_cast<const int32_t*>(bytes.data());
  };
  std::vector<std::byte> channels(ft_device_channels_bytes(p.out_c));
  const int8_t no_weights = 0;
  ft_device_set_channels(
      &layer, &no_weights, nullptr, as_int32(lowered.aux[0].bytes),
      as_int32(lowered.aux[1].bytes),
      reinterpret_cast<ft_device_channels*>(channels.data()));
  return channels;
}

// Pointers of 4 bytes to the taps, and a row of zero points.
Status prepare_armdsp(const LowerContext&, Lowered& lowered) {
  const auto p = lowered.params_as<ft_conv_params>();
  lowered.aux = {{channels_of(lowered)}};
  lowered.scratch_bytes =
      static_cast<size_t>(p.k_h * p.k_w) * 4 + static_cast<size_t>(p.in_c);
  return ok_status();
}

bool accepts_helium(const LowerContext&, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv_params>();
  const std::vector<std::byte> channels = channels_of(lowered);
  return p.out_c == p.in_c &&
         reinterpret_cast<const ft_device_channels*>(channels.data())
                 ->is_plain != 0;
}

Status prepare_helium(const LowerContext&, Lowered& lowered) {
  const auto p = lowered.params_as<ft_conv_params>();
  const std::vector<std::byte> channels = channels_of(lowered);
  const ft_device_channel* list = ft_channel_list(
      reinterpret_cast<const ft_device_channels*>(channels.data()));
  std::vector<ft_wide_constants> blocks(static_cast<size_t>(p.out_c + 7) / 8);
  for (size_t c = 0; c < static_cast<size_t>(p.out_c); ++c) {
    ft_wide_constants& block = blocks[c / 8];
    block.multiplier[c % 2][c % 8 / 2] = list[c].multiplier;
    block.offset[c % 2][c % 8 / 2] = list[c].offset;
    block.left[c % 2][c % 8 / 2] = -list[c].right;
  }
  lowered.aux.clear();
  lowered.add_aux<ft_wide_constants>(blocks);
  lowered.scratch_bytes = static_cast<size_t>(ft_wide_helium_scratch(&p));
  return ok_status();
}

#if defined(__x86_64__)
bool available_vnni() {
  return ft_wide_depthwise_conv2d_s8_avx512vnni_available() != 0;
}

bool accepts_vnni(const LowerContext&, const Lowered& lowered) {
  return ft_wide_depthwise_conv2d_s8_avx512vnni_accepts(
             &lowered.params_as<ft_conv_params>()) != 0;
}

Status prepare_vnni(const LowerContext&, Lowered& lowered) {
  const auto p = lowered.params_as<ft_conv_params>();
  std::vector<std::byte> channels(
      ft_wide_depthwise_conv2d_s8_avx512vnni_channels_bytes(&p));
  ft_wide_depthwise_conv2d_s8_avx512vnni_pack(
      &p, reinterpret_cast<const int32_t*>(lowered.aux[0].bytes.data()),
      reinterpret_cast<const int32_t*>(lowered.aux[1].bytes.data()),
      channels.data());
  lowered.aux.push_back({std::move(channels)});
  lowered.scratch_bytes =
      ft_wide_depthwise_conv2d_s8_avx512vnni_scratch_bytes(&p);
  return ok_status();
}
#endif

constexpr KernelDef kKernels[] = {
    {"ft_wide_depthwise_conv2d_s8_helium", Isa::kHelium, "s8,s16->s8", nullptr,
     accepts_helium, prepare_helium},
    {"ft_wide_depthwise_conv2d_s8_armdsp", Isa::kArmDsp, "s8,s16->s8", nullptr,
     accepts_armdsp, prepare_armdsp},
#if defined(__x86_64__)
    {"ft_wide_depthwise_conv2d_s8_avx512vnni", Isa::kAvx512Vnni, "s8,s16->s8",
     &ft_wide_depthwise_conv2d_s8_avx512vnni, accepts_vnni, prepare_vnni, 0,
     available_vnni},
#endif
    {"ft_wide_depthwise_conv2d_s8_c99", Isa::kC99, "s8,s16->s8",
     &ft_wide_depthwise_conv2d_s8_c99},
};

}  // namespace

constinit const OpDef kWideDepthwiseConv2d = {
    .name = "wide_depthwise_conv2d",
    .cost_class = CostClass::kDepthwise,
    .min_inputs = 3,
    .max_inputs = 3,
    .infer = infer,
    .lower = lower,
    .kernels = kKernels,
    .signature_inputs = 2,
    .macs = macs,
    .examples = examples};

}  // namespace ft::ops
