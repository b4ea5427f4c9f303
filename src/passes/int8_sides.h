// Rewrites an inference graph of an int8 model with LoRA adapters, whose values
// are known, so that the adapters compute in integers beside the base: what
// runs on a device once training is over.
//
//   conv2d, fully_connected with a low-rank side -> side_conv2d
//   depthwise_conv2d with a difference of its weights -> wide_depthwise_conv2d
//
// The answers are near those of the float graph, not the same bits:
// docs/decisions/020-int8-sides.md. The new parameters are what a device image
// holds. Non-goal: training.
#pragma once

#include "base/result.h"
#include "ir/graph.h"

namespace ft {

// Fails, naming the layer, where an adapter is no LoRA (a gain, a bias, several
// adapters beside one layer), and where no int8 layer has a side at all.
Status int8_sides(Graph& graph);

}  // namespace ft
