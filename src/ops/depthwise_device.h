// What the int8 rows of depthwise_conv2d for microcontrollers can compute, and
// what they pack for it; see ops/device_rows.h.
#pragma once

#include "ops/op_def.h"

namespace ft::ops::depthwise_device {

// Layers as deployed: constant weights, nothing beside them.
bool accepts_plain(const LowerContext& context, const Lowered& lowered);
Status prepare_armdsp(const LowerContext& context, Lowered& lowered);

// Such layers with weights above -128 (s8_device.h).
bool accepts_helium(const LowerContext& context, const Lowered& lowered);
Status prepare_helium(const LowerContext& context, Lowered& lowered);

// With a difference to the weights.
bool accepts_side(const LowerContext& context, const Lowered& lowered);
Status prepare_side(const LowerContext& context, Lowered& lowered);

}  // namespace ft::ops::depthwise_device
