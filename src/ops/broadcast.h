// numpy broadcasting: shapes aligned at the last axis, 1 stretches.
#pragma once

#include <algorithm>
#include <optional>

#include "ir/types.h"
#include "kernels/binary/strided_pair.h"

namespace ft {

// Size of `s` along the axis that is `from_end` axes before the last.
inline int64_t dim_from_end(const Shape& s, int from_end) {
  return from_end < s.rank() ? s[s.rank() - 1 - from_end] : 1;
}

// nullopt: the shapes do not fit each other.
inline std::optional<Shape> broadcast_shape(const Shape& a, const Shape& b) {
  std::vector<int64_t> dims(static_cast<size_t>(std::max(a.rank(), b.rank())));
  for (int i = 0; i < static_cast<int>(dims.size()); ++i) {
    const int64_t da = dim_from_end(a, i), db = dim_from_end(b, i);
    if (da != db && da != 1 && db != 1) return std::nullopt;
    dims[dims.size() - 1 - static_cast<size_t>(i)] = da == 1 ? db : da;
  }
  return Shape(dims);
}

// Strides of a and b over the axes of y. Axes of size 1 are dropped, and
// neighbours are merged where both operands run on from one to the other.
inline ft_strided_pair strided_pair(const Shape& a, const Shape& b,
                                    const Shape& y) {
  int32_t dims[FT_MAX_AXES], sa[FT_MAX_AXES], sb[FT_MAX_AXES];
  int used = 0;  // axes found, innermost first
  int32_t a_step = 1, b_step = 1;
  for (int i = 0; i < y.rank(); ++i) {
    const auto dim = static_cast<int32_t>(dim_from_end(y, i));
    if (dim == 1) continue;
    const int32_t step_a = dim_from_end(a, i) == 1 ? 0 : a_step;
    const int32_t step_b = dim_from_end(b, i) == 1 ? 0 : b_step;
    if (step_a) a_step *= dim;
    if (step_b) b_step *= dim;
    const int last = used - 1;
    if (used > 0 && step_a == sa[last] * dims[last] &&
        step_b == sb[last] * dims[last]) {
      dims[last] *= dim;
      continue;
    }
    dims[used] = dim;
    sa[used] = step_a;
    sb[used++] = step_b;
  }
  ft_strided_pair p{};
  p.rank = std::max(used, 1);
  p.dims[0] = 1;
  for (int i = 0; i < used; ++i) {
    p.dims[used - 1 - i] = dims[i];
    p.a_stride[used - 1 - i] = sa[i];
    p.b_stride[used - 1 - i] = sb[i];
  }
  return p;
}

}  // namespace ft
