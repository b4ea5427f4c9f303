#include "ops/depthwise_device.h"

#include <algorithm>

#include "kernels/depthwise_conv2d/depthwise_conv2d.h"
#include "kernels/depthwise_conv2d/depthwise_lanes.h"
#include "kernels/quant/s8_lanes.h"
#include "kernels/quant/s8_pairs.h"
#include "ops/conv_common.h"
#include "ops/device_rows.h"

namespace ft::ops::depthwise_device {
namespace {

// What the rows of microcontrollers read of constant weights and bias.
std::vector<std::byte> channels_of(const LowerContext& context,
                                   const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv_params>();
  return device_channels(context,
                         {.out_c = p.out_c,
                          .x_zero_point = p.x_zero_point,
                          .y_zero_point = p.y_zero_point,
                          .stride = 1,
                          .step = p.out_c,
                          .count = p.k_h * p.k_w,
                          .is_fixed = !context.view.has(3),
                          .added = 0},
                         lowered);
}

// Whole words of channels, without differences to the bias or a gain.
bool accepts_any_side(const LowerContext& context, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_conv_params>();
  const NodeView& node = context.view;
  return p.out_c == p.in_c && p.out_c % 4 == 0 &&
         has_constant_weights(context) && !node.has(4) && !node.has(5);
}

// Pointers of 4 bytes to the taps, and a row of zero points.
size_t tap_bytes(const ft_conv_params& p) {
  const int32_t pointers = p.k_h * p.k_w;
  return static_cast<size_t>(pointers) * 4 + static_cast<size_t>(p.in_c);
}

}  // namespace

bool accepts_plain(const LowerContext& context, const Lowered& lowered) {
  return accepts_any_side(context, lowered) && !context.view.has(3);
}

bool accepts_side(const LowerContext& context, const Lowered& lowered) {
  return accepts_any_side(context, lowered) && context.view.has(3);
}

Status prepare_armdsp(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_conv_params>();
  const std::span<const std::byte> w = context.constant(1);
  std::vector<std::byte> packed(w.size() * sizeof(int16_t));
  ft_pack_depthwise_s16(reinterpret_cast<const int8_t*>(w.data()),
                        p.k_h * p.k_w, p.out_c,
                        reinterpret_cast<int16_t*>(packed.data()));
  lowered.aux = {{std::move(packed)}, {channels_of(context, lowered)}};
  lowered.scratch_bytes = tap_bytes(p);
  return ok_status();
}

Status prepare_side(const LowerContext& context, Lowered& lowered) {
  const std::span<const std::byte> w = context.constant(1);
  std::vector<std::byte> channels = channels_of(context, lowered);
  lowered.aux = {
      {{w.begin(), w.end()}}, {std::move(channels)}, std::move(lowered.aux[2])};
  lowered.scratch_bytes = tap_bytes(lowered.params_as<ft_conv_params>());
  return ok_status();
}

// Plain layers whose weights lie above -128 (s8_device.h).
bool accepts_helium(const LowerContext& context, const Lowered& lowered) {
  if (!accepts_plain(context, lowered)) return false;
  const std::span<const std::byte> w = context.constant(1);
  const std::vector<std::byte> channels = channels_of(context, lowered);
  return std::ranges::count(w, std::byte{0x80}) == 0 &&
         reinterpret_cast<const ft_device_channels*>(channels.data())
                 ->is_plain != 0;
}

// Weights and constants of whole vectors, which may hold several pixels.
Status prepare_helium(const LowerContext& context, Lowered& lowered) {
  const auto p = lowered.params_as<ft_conv_params>();
  const std::span<const std::byte> w = context.constant(1);
  const std::vector<std::byte> channels = channels_of(context, lowered);
  const ft_device_channel* list = ft_channel_list(
      reinterpret_cast<const ft_device_channels*>(channels.data()));
  const int32_t lanes = p.out_c * ft_depthwise_lanes_pixels(&p);
  std::vector<ft_device_channel> repeated;
  for (int32_t c = 0; c < lanes; ++c) repeated.push_back(list[c % p.out_c]);
  std::vector<std::byte> blocks(ft_lane_blocks_bytes(lanes));
  ft_set_lane_blocks(repeated.data(), lanes,
                     reinterpret_cast<ft_lane_block*>(blocks.data()));
  const int32_t taps = p.k_h * p.k_w;
  std::vector<std::byte> packed(blocks.size() / sizeof(ft_lane_block) *
                                static_cast<size_t>(taps * FT_LANES));
  ft_depthwise_lanes_pack(reinterpret_cast<const int8_t*>(w.data()), taps,
                          p.out_c, lanes,
                          reinterpret_cast<int8_t*>(packed.data()));
  lowered.aux = {{std::move(packed)}, {std::move(blocks)}};
  lowered.scratch_bytes = static_cast<size_t>(ft_depthwise_lanes_scratch(&p));
  return ok_status();
}

}  // namespace ft::ops::depthwise_device
