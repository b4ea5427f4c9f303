// Where bottleneck adapters stand in a graph.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "methods/method.h"

namespace ft {

// A value that an adapter is added to, and what the adapter reads.
struct BottleneckSite {
  std::string module;  // that the adapter is named after
  ValueId value = kNone;
  ValueId from = kNone;  // often the value itself
  NodeId norm = kNone;   // read through the same normalization as this node's
  NodeId end = kNone;    // the sum that reads the value, if `from` may come
                         // later than the value
  bool image = false;    // projections are 1x1 convolutions to PyTorch
};

// The modules that `settings` selects. Without target modules: the layers that
// end a block, i.e. those whose output goes into a residual sum (not the
// attention's for pfeiffer and parallel, which stand once a block), or else
// every pointwise convolution, or every convolution, or every layer; never the
// head. Fails where nothing is left.
Result<std::vector<AdaptableModule>> bottleneck_modules(
    const Graph& graph, const MethodSettings& settings,
    std::string_view variant);

// Always behind adapters that stand there already. houlsby: behind the module's
// output. pfeiffer: behind the residual sum that it goes into, if it does, and
// where each block ends in a LayerNorm, reading what that makes of the sum, as
// AdapterHub has it. parallel_block: added to the module's output, and reading
// the other operand of its residual sum; fails where there is none. Fails for
// recurrent weights.
Result<BottleneckSite> bottleneck_site(const Graph& graph,
                                       const AdaptableModule& module,
                                       std::string_view variant);

// Values in the bottleneck of an adapter for `channels`: at least 1. AdapterHub
// divides as Python's // does.
int64_t bottleneck_width(int64_t channels, double reduction_factor);

// How many layers a transformer of Hugging Face's names has ("encoder.layer.11.
// output.dense" -> 12); 0 where no module has such a name.
int64_t count_layers(const Graph& graph);

// Whether the module accumulates a side: dense layers and convolutions of one
// group do.
Status check_parallel(const Graph& graph, const AdaptableModule& module);

}  // namespace ft
