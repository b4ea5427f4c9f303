// When rows that skip zeros pay: they save an inner loop for each.
#pragma once

#include <cstdint>

namespace ft::ops {

// It must be longer than the test, and where it has a stride, its lines must
// fit a cache.
inline constexpr int32_t kFewestSkipped = 4, kMostStrided = 4096;

}  // namespace ft::ops
