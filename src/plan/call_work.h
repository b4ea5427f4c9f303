// How much a call of a kernel has to do: what the cost model's terms count.
#pragma once

#include <array>
#include <string_view>

#include "ops/op_def.h"

namespace ft {

inline constexpr size_t kCostTerms = 8;
using CostTerms = std::array<double, kCostTerms>;

// How much a call has to do, from its node's types and attributes alone. Where
// a window lies over the image's edge, rows that skip the products outside of
// the image and rows that multiply by zeros cost differently.
struct CallWork {
  double elements = 0;  // of the result (of the parameter, for an update)
  double macs = 0;      // products inside of the image
  double rows = 0;      // elements / the last dimension
  double runs = 0;      // macs / the last dimension of the first input
  double reads = 0;     // elements of the first input
  double outside = 0;   // products outside; the op's own count has both
  double blocks = 0;    // runs, each in blocks of 16 products

  CostTerms terms() const {
    return {1, elements, macs, rows, runs, reads, outside, blocks};
  }
};
CallWork work_of(const NodeView& node);

// How a row works on such a call, where that shows in its node: a product of
// points or of windows, with an adapter beside it or without, or an outer
// product of two vectors (a weight's gradient at batch 1). "" or ":point",
// ":window+side", ":outer" and the like, behind the row's symbol.
std::string_view variant_of(const NodeView& node);

}  // namespace ft
