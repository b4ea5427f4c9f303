#include "sim_flash.h"

#include <algorithm>
#include <cstring>

namespace ft::test {

ft_flash_driver SimFlash::driver() {
  return {.context = this,
          .map = map,
          .erase_page = erase_page,
          .program = program};
}

void SimFlash::cut_after(uint64_t bytes, Torn torn, uint32_t seed) {
  left_ = bytes;
  torn_ = torn;
  random_.seed(seed + 1);
}

const uint8_t* SimFlash::map(void* self, uint32_t offset) {
  auto& flash = *static_cast<SimFlash*>(self);
  if (offset >= flash.bytes_.size()) ++flash.violations_;
  return flash.bytes_.data() + offset;
}

// Some of the bits that would change have changed.
void SimFlash::tear(uint32_t offset, const uint8_t* target, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    uint8_t& byte = bytes_[offset + i];
    const auto changing = static_cast<uint8_t>(byte ^ target[i]);
    byte = static_cast<uint8_t>(byte ^ (changing & random_()));
  }
}

bool SimFlash::work(uint32_t offset, const uint8_t* target, uint32_t count) {
  const auto done = static_cast<uint32_t>(std::min<uint64_t>(left_, count));
  const bool whole = left_ > count || left_ == UINT64_MAX;
  worked_ += done;
  if (left_ != UINT64_MAX) left_ -= done;
  if (whole || done == count) {
    std::memcpy(bytes_.data() + offset, target, count);
    is_on_ = whole;
    return whole;
  }
  if (torn_ == Torn::kAllBits) {
    tear(offset, target, count);
  } else {
    std::memcpy(bytes_.data() + offset, target, done);
    if (torn_ == Torn::kRandom)
      tear(offset + done, target + done, count - done);
  }
  is_on_ = false;
  return false;
}

int SimFlash::erase_page(void* self, uint32_t offset) {
  auto& flash = *static_cast<SimFlash*>(self);
  if (!flash.is_on_) return -1;
  if (offset % flash.page_bytes_ != 0 ||
      offset + flash.page_bytes_ > flash.bytes_.size()) {
    ++flash.violations_;
    return -1;
  }
  const std::vector<uint8_t> ones(flash.page_bytes_, 0xFF);
  return flash.work(offset, ones.data(), flash.page_bytes_) ? 0 : -1;
}

int SimFlash::program(void* self, uint32_t offset, const uint8_t* bytes,
                      uint32_t count) {
  auto& flash = *static_cast<SimFlash*>(self);
  if (!flash.is_on_) return -1;
  const uint32_t unit = flash.unit_bytes_;
  if (offset % unit != 0 || count % unit != 0 ||
      offset + count > flash.bytes_.size()) {
    ++flash.violations_;
    return -1;
  }
  for (uint32_t at = 0; at < count; at += unit) {
    const auto old = flash.bytes_.begin() + offset + at;
    if (!std::all_of(old, old + unit, [](uint8_t b) { return b == 0xFF; }))
      ++flash.violations_;
    if (!flash.work(offset + at, bytes + at, unit)) return -1;
  }
  return 0;
}

}  // namespace ft::test
