// At what distance a row may write its output over its input (OpDef::overlap):
// exact, from the order in which the row reads and writes.
//
// A row computes units (pixels, elements) in the order in which they lie in the
// output. A byte of the input may be written over once no unit that is still to
// be read needs it. Proven for every row that runs here by running it over its
// own input (ops_overlap_test.cc). Sources: Blacker et al., "Diagonal Memory
// Optimisation for Machine Learning on Micro-controllers", 2020; Zheng et al.,
// "vMCU", MLSys 2024.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/conv2d/conv_params.h"
#include "kernels/pool2d/pool2d.h"
#include "ops/op_def.h"

namespace ft::ops {

// Smallest distance from the output's begin to the input's. `first_read(unit)`:
// the first byte of the input that the unit needs, `input_bytes` if none.
// `unread(unit)`: when the unit is written, that one and all behind it may
// still have to be read; at most `units`.
template <class FirstRead, class Unread>
ptrdiff_t rolling_distance(int64_t units, int64_t unit_bytes,
                           int64_t input_bytes, FirstRead first_read,
                           Unread unread) {
  std::vector<int64_t> needed(static_cast<size_t>(units) + 1, input_bytes);
  for (int64_t u = units - 1; u >= 0; --u)
    needed[static_cast<size_t>(u)] =
        std::min(needed[static_cast<size_t>(u) + 1], first_read(u));
  int64_t distance = -input_bytes;
  for (int64_t u = 0; u < units; ++u)
    distance = std::max(distance, (u + 1) * unit_bytes -
                                      needed[static_cast<size_t>(unread(u))]);
  return static_cast<ptrdiff_t>(distance);
}

// Convolutions that take output pixels in order, `pixels` at a time in whatever
// order among them; input 0 is the image.
Overlap windows_overlap(const NodeView& node, const ft_conv_params& p,
                        int64_t pixels);
// The same of a row that reads all that `pixels` pixels need before it writes
// the first of them.
Overlap gathered_overlap(const NodeView& node, const ft_conv_params& p,
                         int64_t pixels);
// The same of a row that copies the image rows of `rows` output rows first and
// writes then.
Overlap strips_overlap(const NodeView& node, const ft_conv_params& p,
                       int64_t rows);
// Gradients of those convolutions: dx, pixel after pixel, over dy (input 0).
Overlap gradients_overlap(const NodeView& node, const ft_conv_params& p);
// Pools, pixel after pixel.
Overlap pool_overlap(const NodeView& node, const ft_pool2d_params& p);
// Element i of the output needs element i of `input`, nothing else does.
Overlap elements_overlap(const NodeView& node, int input);

}  // namespace ft::ops
