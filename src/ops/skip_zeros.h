// When rows that skip zeros pay: they save an inner loop for each.
#pragma once

#include <cstdint>

namespace ft::ops {

// It must be longer than the test, and where it has a stride, its lines must
// fit a cache.
inline constexpr int32_t kFewestSkipped = 4, kMostStrided = 4096;

// Rows with vectors list what is not 0 of a row first, which the products that
// it saves must repay. Measured on one core with AVX-512, at the zeros of
// trained adapters: gradients, of whose values more than half are 0, gain from
// sums of 16 products on; hidden values from 64 on. Listing the columns of the
// second operand never repaid.
inline constexpr int32_t kFewestListed = 16, kFewestListedForward = 64;

}  // namespace ft::ops
