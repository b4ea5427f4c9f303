#include "tests/count_allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> count{0};

}  // namespace

namespace ft {

size_t allocation_count() { return count; }

}  // namespace ft

void* operator new(size_t bytes) {
  ++count;
  if (void* p = std::malloc(bytes > 0 ? bytes : 1)) return p;
  std::abort();
}

void* operator new(size_t bytes, std::align_val_t alignment) {
  ++count;
  const auto a = static_cast<size_t>(alignment);
  if (void* p = std::aligned_alloc(a, (bytes + a - 1) / a * a)) return p;
  std::abort();
}

void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept {
  std::free(p);
}
