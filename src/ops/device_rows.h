// What the int8 rows of microcontrollers (Isa::kArmDsp, Isa::kHelium) share.
//
// Such a row packs constant weights and bias into its own aux, which replaces
// the one that other rows read: inputs 1 and 2 of the node are not read then,
// and a program for a device need not hold them (unread_inputs()).
#pragma once

#include "kernels/quant/s8_device.h"
#include "ops/op_def.h"

namespace ft::ops {

// Inputs of a node that its row does not read, as a bit mask.
uint32_t unread_inputs(const OpDef& op, const KernelDef& row);

// Weights as [n, k] with constants of n channels; `k` bytes each.
struct DeviceWeights {
  int32_t n, k;
  int32_t x_zero_point, y_zero_point;
  bool rounds_twice = true;  // as convolutions do, not fully connected layers
  int32_t added = 0;         // to sums, at most, beside a float side
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
// Rows of int16 kernels beside them: aux = packed pairs, what a sum begins
// with, and what it was.
void pack_pairs_of_side(const LowerContext& context,
                        const DeviceWeights& weights, Lowered& lowered);
// aux += weights of input 2, [out_c, taps, in_c], as the input gradient of
// kernels/bfp_conv2d/ has them.
void pack_input_grad(const LowerContext& context, Lowered& lowered);
// Constants of the channels as bytes; multiplier and shift are aux 0 and 1.
std::vector<std::byte> device_channels(const LowerContext& context,
                                       const ft_device_layer& layer,
                                       const Lowered& lowered);

}  // namespace ft::ops
