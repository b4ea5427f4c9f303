// Undoes broadcasting in a gradient rule.
#pragma once

#include "ops/all_ops.h"
#include "ops/broadcast.h"
#include "ops/conv_common.h"
#include "ops/gradient.h"

namespace ft::ops {

// dy summed over the axes along which `shape` was stretched; dy itself if none.
// `shape` is a copy: emitting nodes moves the graph's own values.
inline ValueId emit_sum_to_shape(GradientBuilder& g, ValueId dy, Shape shape) {
  if (dy == kNone || g.shape(dy) == shape) return dy;
  const Shape from = g.shape(dy);
  std::vector<int64_t> axes;
  for (int i = from.rank() - 1; i >= 0; --i)
    if (from[from.rank() - 1 - i] != dim_from_end(shape, i))
      axes.push_back(from.rank() - 1 - i);
  if (!axes.empty())
    dy = g.emit(kReduce, {dy},
                {{"kind", "sum"}, {"axes", axes}, {"keep_dims", 1}});
  return emit_reshape(g, dy, shape);
}

}  // namespace ft::ops
