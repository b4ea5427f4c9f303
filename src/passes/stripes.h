// Computes the beginning of a model in stripes of image rows, so that its large
// first activations never exist whole.
//
// A region is all that runs before one value from which alone the rest is
// computed: convolutions, pools and element-wise ops on one image. For each
// stripe of that value the rows that it needs are computed; those that two
// stripes need are computed twice, from equal inputs to equal bits. Rows of the
// input are read where they lie and those of the output are written where they
// belong: `in_place` slices and concatenations have no kernel call
// (plan/arena_layout.h).
// Source: Lin et al., "MCUNetV2: Memory-Efficient Patch-based Inference for
// Tiny Deep Learning", NeurIPS 2021, with patches as wide as the image.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace ft {

struct StripeRegion {
  NodeId end = 0;          // the first node behind
  ValueId output = kNone;  // [1, rows, w, c]
  int64_t rows = 0;
};

// All there are, shortest first; none where a graph does not begin with images
// or keeps what is between for later, as a backward pass does.
std::vector<StripeRegion> stripe_regions(const Graph& graph);

// Most stripes that one region is computed in.
constexpr int64_t kMostStripes = 64;

// `stripes`: from 2 to the region's rows. kInvalidInput where a stripe would
// have no rows to read.
Status compute_in_stripes(Graph& graph, const StripeRegion& region,
                          int64_t stripes);

// How many its first part is computed in; 0: it is computed whole.
int64_t stripes_of(const Graph& graph);

// Whether a node has no kernel call: a view, or a part of a buffer in place.
bool has_no_call(const Node& node);

}  // namespace ft
