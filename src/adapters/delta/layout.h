// Which parts of two files belong together: the segments of a delta, before
// anything is coded.
//
// Adapter files are matched tensor by tensor, by name; device images value by
// value, at the width that tells them best, since only the program knows what
// they hold.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ft_delta_model.h"

namespace ft {

struct PlannedSegment {
  std::string name;  // of the tensor; "header", "payload"
  size_t new_offset = 0;
  ft_delta_segment segment = {};
  // A lossy mode may tell the values in steps: floats of the adapter itself,
  // not the steps of its integers.
  bool may_be_lossy = false;
};

// In the order of the new file, which they cover. Fails unless both are adapter
// files or both are device images, for one base and in one quantizer.
Result<std::vector<PlannedSegment>> plan_segments(
    std::span<const std::byte> old_file, std::span<const std::byte> new_file);

}  // namespace ft
