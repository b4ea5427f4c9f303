#include "ops/device_rows.h"

#include <algorithm>

#include "kernels/quant/s8_pairs.h"
#include "ops/conv_common.h"

namespace ft::ops {
namespace {

const int8_t* weights_of(const LowerContext& context) {
  return reinterpret_cast<const int8_t*>(context.constant(1).data());
}

// aux = `packed`, the channels of weights [n, k], and what a low-rank side
// reads.
void replace_aux(const LowerContext& context, const DeviceWeights& weights,
                 std::vector<std::byte> packed, int32_t rank,
                 Lowered& lowered) {
  const ft_device_layer layer{.out_c = weights.n,
                              .x_zero_point = weights.x_zero_point,
                              .y_zero_point = weights.y_zero_point,
                              .stride = weights.k,
                              .step = 1,
                              .count = weights.k};
  std::vector<AuxData> aux;
  aux.push_back({std::move(packed)});
  aux.push_back({device_channels(context, layer, lowered)});
  if (rank > 0) aux.push_back(std::move(lowered.aux[2]));
  lowered.aux = std::move(aux);
}

}  // namespace

std::vector<std::byte> device_channels(const LowerContext& context,
                                       const ft_device_layer& layer,
                                       const Lowered& lowered) {
  const auto as_int32 = [](std::span<const std::byte> bytes) {
    return reinterpret_cast<const int32_t*>(bytes.data());
  };
  std::vector<std::byte> bytes(ft_device_channels_bytes(layer.out_c));
  ft_device_set_channels(
      &layer, weights_of(context), as_int32(context.constant(2)),
      as_int32(lowered.aux[0].bytes), as_int32(lowered.aux[1].bytes),
      reinterpret_cast<ft_device_channels*>(bytes.data()));
  return bytes;
}

bool can_pack_rows(const LowerContext& context) {
  return has_constant_weights(context) && !context.view.has(5);
}

bool can_pack_pairs(const LowerContext& context, int32_t n, int32_t k) {
  return can_pack_rows(context) &&
         ft_can_pack_pairs(weights_of(context), n, k) != 0;
}

void pack_pairs(const LowerContext& context, const DeviceWeights& weights,
                int32_t rank, Lowered& lowered) {
  std::vector<std::byte> packed(ft_pack_pairs_bytes(weights.n, weights.k));
  ft_pack_pairs(weights_of(context), weights.n, weights.k,
                reinterpret_cast<int8_t*>(packed.data()));
  replace_aux(context, weights, std::move(packed), rank, lowered);
}

void pack_rows_of_16(const LowerContext& context, const DeviceWeights& weights,
                     int32_t rank, Lowered& lowered) {
  const auto k = static_cast<size_t>(weights.k), wide = (k + 15) / 16 * 16;
  const std::span<const std::byte> w = context.constant(1);
  std::vector<std::byte> packed(static_cast<size_t>(weights.n) * wide);
  for (size_t row = 0; row < static_cast<size_t>(weights.n); ++row)
    std::ranges::copy(w.subspan(row * k, k), &packed[row * wide]);
  replace_aux(context, weights, std::move(packed), rank, lowered);
}

}  // namespace ft::ops
