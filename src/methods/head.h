// The classification head: finding it and replacing it.
#pragma once

#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "methods/method.h"

namespace ft {

// Where a graph's answer comes from: output <- [quantize] <- [softmax] <-
// logits <- [reshape] <- head (fully connected or 1x1 convolution).
struct HeadSite {
  NodeId head = kNone;  // kNone: the output does not come from a linear layer
  ValueId logits = kNone;  // input of the softmax, or the output itself
  NodeId softmax = kNone;
  std::vector<NodeId> chain;  // from the output back to the head, inclusive
};
HeadSite find_head(const Graph& graph);

// Puts a float head [num_classes, k] in the place of the graph's last linear
// layer, with trainable weight and bias; what follows (softmax) is rebuilt for
// the new size, and an int8 output stays int8. `weight` and `bias` are initial
// values, or empty for random ones by `seed`. Fails where there is no fully
// connected head.
Status replace_head(Graph& graph, int num_classes, uint64_t seed,
                    std::vector<float> weight, std::vector<float> bias,
                    AdaptedGraph& adapted);

// A new head of settings.num_classes if asked for; otherwise nothing.
Status maybe_new_head(Graph& graph, const MethodSettings& settings,
                      AdaptedGraph& adapted);

// The head of an adapter as a merged module, if it has one.
void merge_head(const Graph& base, const TensorMap& tensors,
                std::vector<MergedModule>& merged);

// Values uniform in [-bound, bound], as PyTorch initializes linear layers.
std::vector<float> uniform_values(size_t count, double bound, uint64_t seed,
                                  std::string_view stream);

}  // namespace ft
