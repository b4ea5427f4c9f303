// Several adapters on one base.
//
// Each method rewrites the graph that those before it have left: low-rank sides
// add up where a layer accumulates, a bottleneck adapter takes what the one
// before it gives. `MethodSettings::weight` scales what an adapter adds, 0
// leaves it out. In PEFT's words: set_adapter() of several adapters, and
// add_weighted_adapter() with combination_type "cat".
#pragma once

#include <span>

#include "base/result.h"
#include "ir/graph.h"
#include "methods/method.h"

namespace ft {

// Applies the methods in order. Tensors know their adapter by
// AdapterTensor::adapter; values and nodes of the second adapter on have names
// of their own ("adapter2/..."). An adapter of weight 0 changes nothing and has
// no tensors. Fails, naming adapter and method, where a weight has no meaning,
// and where an adapter replaces what an earlier one adapts or trains (two
// heads, the same biases twice).
Status apply_methods(Graph& graph, std::span<const MethodSettings> methods,
                     AdaptedGraph& adapted);

// A method's settings and its adapter's tensors, in file layout.
struct AdapterPart {
  MethodSettings method;
  TensorMap tensors;
};

// The base's weights with all adapters folded in, one after the other. Fails
// where a method adds what no weight can hold, or where nothing changes.
Result<std::vector<MergedModule>> merge_adapters(
    const Graph& base, std::span<const AdapterPart> adapters);

}  // namespace ft
