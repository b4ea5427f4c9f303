// plan_segments() for device images.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "adapters/delta/layout.h"
#include "base/result.h"

namespace ft {

// Fails if either image is damaged or they are not for one base and program.
Result<std::vector<PlannedSegment>> plan_image_segments(
    std::span<const std::byte> old_image, std::span<const std::byte> new_image);

}  // namespace ft
