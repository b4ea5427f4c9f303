// A zeroed block of memory with guard bytes on both sides.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace ft {

// Exactly `size` usable bytes, aligned to 64, between two guard zones.
// The destructor aborts if a guard byte was changed.
class GuardedBuffer {
 public:
  static constexpr size_t kGuardBytes = 64;

  explicit GuardedBuffer(size_t size);
  ~GuardedBuffer();
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  std::byte* data() { return block_ + kGuardBytes; }
  size_t size() const { return size_; }
  std::span<std::byte> bytes() { return {data(), size_}; }
  bool guards_intact() const;

 private:
  size_t size_;
  std::byte* block_;
};

}  // namespace ft
