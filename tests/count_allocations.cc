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

// Every form, so that a sanitizer's own never meets one of ours: libstdc++'s
// stable_sort, for one, allocates with the nothrow form.
void* operator new(size_t bytes, const std::nothrow_t&) noexcept {
  ++count;
  return std::malloc(bytes > 0 ? bytes : 1);
}

void* operator new(size_t bytes, std::align_val_t alignment,
                   const std::nothrow_t&) noexcept {
  ++count;
  const auto a = static_cast<size_t>(alignment);
  return std::aligned_alloc(a, (bytes + a - 1) / a * a);
}

void* operator new(size_t bytes) {
  if (void* p = operator new(bytes, std::nothrow)) return p;
  std::abort();
}

void* operator new(size_t bytes, std::align_val_t alignment) {
  if (void* p = operator new(bytes, alignment, std::nothrow)) return p;
  std::abort();
}

void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept {
  std::free(p);
}
