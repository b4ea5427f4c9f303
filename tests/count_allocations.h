// Counts every operator new of the test binary that links count_allocations.cc.
#pragma once

#include <cstddef>

namespace ft {

size_t allocation_count();

}  // namespace ft
