// What the int8 rows of microcontrollers (Isa::kArmDsp, Isa::kHelium) share.
//
// Such a row packs constant weights and bias into its own aux, which replaces
// the one that other rows read: inputs 1 and 2 of the node are not read then,
// and a program for a device need not hold them (reads_packed_weights()).
#pragma once

#include "kernels/quant/s8_device.h"
#include "ops/op_def.h"

namespace ft::ops {

// Inputs 1 and 2 of a node that runs by this row are not read.
inline bool reads_packed_weights(const KernelDef& row) {
  return (row.isa == Isa::kArmDsp || row.isa == Isa::kHelium) &&
         row.prepare != nullptr;
}

// Weights as [n, k] with constants of n channels; `k` bytes each.
struct DeviceWeights {
  int32_t n, k;
  int32_t x_zero_point, y_zero_point;
};

// Weights and bias are constants, and there is no gain.
bool can_pack_rows(const LowerContext& context);
// The same, and the pairs of kernels/quant/s8_pairs.h can hold the weights.
bool can_pack_pairs(const LowerContext& context, int32_t n, int32_t k);
// aux = packed pairs, channels, and what aux[2] was if `rank` > 0.
void pack_pairs(const LowerContext& context, const DeviceWeights& weights,
                int32_t rank, Lowered& lowered);
// The same with weights as they are, k padded with 0 to a multiple of 16.
void pack_rows_of_16(const LowerContext& context, const DeviceWeights& weights,
                     int32_t rank, Lowered& lowered);
// Constants of the channels as bytes; multiplier and shift are aux 0 and 1.
std::vector<std::byte> device_channels(const LowerContext& context,
                                       const ft_device_layer& layer,
                                       const Lowered& lowered);

}  // namespace ft::ops
