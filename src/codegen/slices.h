// How a training step is cut into slices: which calls are done in parts, and
// what a slice takes at most.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/program.h"
#include "plan/target.h"

namespace ft::codegen {

// One call of the program. A slice does `size` of its `units` (ft_part).
struct CallSlices {
  int32_t units = 1, size = 1, rounds = 1;
  double cost = 0;       // of a slice, at most
  double call_cost = 0;  // of the whole call

  int64_t count() const { return int64_t{(units + size - 1) / size} * rounds; }
};

struct Slices {
  std::vector<CallSlices> calls;
  std::string unit;  // of costs: "instructions", or "multiply-accumulates"

  int64_t count() const;
  size_t longest() const;  // index of the call with the longest slice
};

// Slices of at most `limit` units where the call can be divided so finely; 0:
// whole calls. Costs are the target's, or multiply-accumulates (elements, where
// there are none) where it has none. Fails where a program has too many calls
// to be counted, or a cost is not known (plan/cost.h).
Result<Slices> slices_of(const Program& program, const Target& target,
                         int64_t limit);

// The cost of a call's slices as ft_train_poll counts it.
uint32_t slice_cost(const CallSlices& call);

// The calls whose slices are longer than `limit`, longest first, in Markdown.
std::string slice_report(const Program& program, const Slices& slices,
                         int64_t limit);

// ft_train_poll: `names` are the functions of the calls, which take a part.
std::string print_poll(const Slices& slices,
                       const std::vector<std::string>& names);

}  // namespace ft::codegen
