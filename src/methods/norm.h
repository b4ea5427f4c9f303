// The normalization layers of a graph, for methods that train parts of them.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace ft {

// Attribute of a norm that an adapter reads through: not a layer of the model.
inline constexpr const char* kNormOfAdapter = "norm_of_adapter";

struct NormLayer {
  NodeId node = kNone;
  std::string name;
};
// Those with a gain (input 1) or shift (input 2) of their own.
std::vector<NormLayer> norm_layers(const Graph& graph);
// Whether the layer has a frozen vector as input i.
bool has_vector(const Graph& graph, const NormLayer& layer, size_t i);

}  // namespace ft
