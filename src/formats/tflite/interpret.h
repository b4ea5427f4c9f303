// Runs an imported graph node by node on the C99 rows: the plain way to ask
// what a graph computes, without planner, arena or fast kernels. For tests and
// for comparing an import with LiteRT (see interpret_main.cc).
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace ft {

// One buffer of bytes per graph input and output, as their types say.
Result<std::vector<std::vector<std::byte>>> interpret(
    const Graph& graph, const std::vector<std::vector<std::byte>>& inputs);

}  // namespace ft
