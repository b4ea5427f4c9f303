#include "ops/device_rows.h"

#include <algorithm>
#include <iterator>
#include <numeric>

#include "kernels/quant/s8_pairs.h"
#include "ops/all_ops.h"
#include "ops/conv_common.h"
#include "ops/side_ops.h"

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
  const ft_device_layer layer{
      .out_c = weights.n,
      .x_zero_point = weights.x_zero_point,
      .y_zero_point = weights.y_zero_point,
      .stride = weights.k,
      .step = 1,
      .count = weights.k,
      .is_fixed = rank == 0 && weights.rounds_twice && weights.added == 0,
      .added = weights.added};
  std::vector<AuxData> aux;
  aux.push_back({std::move(packed)});
  aux.push_back({device_channels(context, layer, lowered)});
  if (rank > 0) aux.push_back(std::move(lowered.aux[2]));
  lowered.aux = std::move(aux);
}

}  // namespace

uint32_t unread_inputs(const OpDef& op, const KernelDef& row) {
  const bool packs = (row.isa == Isa::kArmDsp || row.isa == Isa::kHelium) &&
                     row.prepare != nullptr;
  if (!packs) return 0;
  const bool only_adds_scratch =
      &op == &kBfpDepthwiseConv2dInputGrad || &op == &kBfpConv2dWeightGrad;
  if (only_adds_scratch) return 0;
  if (&op == &kWideDepthwiseConv2d) return 0;  // weights can change
  if (&op == &kBinary) return 0;               // has no weights
  return &op == &kBfpConv2dInputGrad ? 1u << 2 : 1u << 1 | 1u << 2;
}

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

void pack_pairs_of_side(const LowerContext& context,
                        const DeviceWeights& weights, Lowered& lowered) {
  const int8_t* w = weights_of(context);
  std::vector<std::byte> packed(ft_pack_pairs_bytes(weights.n, weights.k));
  ft_pack_pairs(w, weights.n, weights.k,
                reinterpret_cast<int8_t*>(packed.data()));
  const auto* bias =
      reinterpret_cast<const int32_t*>(context.constant(2).data());
  std::vector<int32_t> init;
  for (int32_t c = 0; c < weights.n; ++c) {
    const int8_t* row = w + static_cast<ptrdiff_t>(c) * weights.k;
    const int64_t sum = std::accumulate(row, row + weights.k, int64_t{0});
    const int64_t start = (context.constant(2).empty() ? 0 : bias[c]) -
                          weights.x_zero_point * sum;
    init.push_back(static_cast<int32_t>(static_cast<uint32_t>(start)));
  }
  Lowered own;
  own.aux.push_back({std::move(packed)});
  own.add_aux<int32_t>(init);
  lowered.aux.insert(lowered.aux.begin(),
                     std::make_move_iterator(own.aux.begin()),
                     std::make_move_iterator(own.aux.end()));
}

void pack_input_grad(const LowerContext& context, Lowered& lowered) {
  const Shape& shape = context.view.shape(2);
  const auto out_c = static_cast<size_t>(shape[0]);
  const auto in_c = static_cast<size_t>(shape[3]);
  const auto taps = static_cast<size_t>(shape[1] * shape[2]);
  const size_t out_4 = (out_c + 3) / 4 * 4;
  const std::span<const std::byte> w = context.constant(2);
  std::vector<std::byte> packed((in_c + in_c % 2) * taps * out_4);
  for (size_t co = 0; co < out_c; ++co)
    for (size_t tap = 0; tap < taps; ++tap)
      for (size_t ci = 0; ci < in_c; ++ci)
        packed[((ci / 2 * taps + tap) * out_4 + co) * 2 + ci % 2] =
            w[(co * taps + tap) * in_c + ci];
  lowered.aux.push_back({std::move(packed)});
}

}  // namespace ft::ops
