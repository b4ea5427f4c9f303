// Where bottleneck adapters stand in a graph.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "methods/method.h"

namespace ft {

// A value that an adapter is inserted behind.
struct BottleneckSite {
  std::string module;  // that the adapter is named after
  ValueId value = kNone;
  bool image = false;  // projections are 1x1 convolutions to PyTorch
};

// The modules that `settings` selects. Without target modules: the layers that
// end a block, i.e. those whose output goes into a residual sum (not the
// attention's for pfeiffer and parallel, which stand once a block), or else
// every pointwise convolution, or every convolution, or every layer; never the
// head. Fails where nothing is left.
Result<std::vector<AdaptableModule>> bottleneck_modules(
    const Graph& graph, const MethodSettings& settings,
    std::string_view variant);

// Behind the module's output, and behind adapters that stand there already;
// with `behind_sum` behind the residual sum that it goes into, if it does.
// Fails for recurrent weights.
Result<BottleneckSite> bottleneck_site(const Graph& graph,
                                       const AdaptableModule& module,
                                       bool behind_sum);

// Whether the module accumulates a side: dense layers and convolutions of one
// group do.
Status check_parallel(const Graph& graph, const AdaptableModule& module);

}  // namespace ft
