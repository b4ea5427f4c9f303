#include "exec/buffer.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/result.h"

namespace ft {
namespace {

constexpr std::byte kGuard{0xC3};
constexpr std::align_val_t kAlignment{64};

}  // namespace

GuardedBuffer::GuardedBuffer(size_t size)
    : size_(size),
      block_(static_cast<std::byte*>(
          ::operator new(size + 2 * kGuardBytes, kAlignment))) {
  std::memset(block_, static_cast<int>(kGuard), size + 2 * kGuardBytes);
  std::memset(data(), 0, size);
}

GuardedBuffer::~GuardedBuffer() {
  FT_CHECK(guards_intact());
  ::operator delete(block_, kAlignment);
}

bool GuardedBuffer::guards_intact() const {
  const auto intact = [&](const std::byte* zone) {
    return std::all_of(zone, zone + kGuardBytes,
                       [](std::byte b) { return b == kGuard; });
  };
  return intact(block_) && intact(block_ + kGuardBytes + size_);
}

}  // namespace ft
