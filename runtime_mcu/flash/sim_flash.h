// Flash for tests: pages that are erased to ones, units that are programmed
// once, and a power cut after any number of bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "ft_flash.h"

namespace ft::test {

// What the operation that the power cut hits leaves of the byte it was at, and
// of the rest of its unit or page.
enum class Torn {
  kPrefix,   // the bytes before are done, those behind untouched
  kRandom,   // each bit of the rest has changed or not
  kAllBits,  // all bytes have changed in some of their bits
};

class SimFlash {
 public:
  // All bytes are zeros: a device's flash may hold anything.
  SimFlash(uint32_t bytes, uint32_t page_bytes, uint32_t unit_bytes)
      : bytes_(bytes, 0), page_bytes_(page_bytes), unit_bytes_(unit_bytes) {}

  ft_flash_driver driver();

  // The power goes after this many more bytes were erased or programmed; then
  // every operation fails and changes nothing.
  void cut_after(uint64_t bytes, Torn torn, uint32_t seed);
  void power_on() { is_on_ = true, left_ = UINT64_MAX; }
  bool is_on() const { return is_on_; }
  void flip(uint32_t bit) {
    bytes_[bit / 8] ^= static_cast<uint8_t>(1U << (bit % 8));
  }

  // Bytes erased and programmed so far.
  uint64_t worked() const { return worked_; }
  // The driver's rules were broken: wrong alignment, or a unit programmed
  // twice.
  int violations() const { return violations_; }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  static const uint8_t* map(void* self, uint32_t offset);
  static int erase_page(void* self, uint32_t offset);
  static int program(void* self, uint32_t offset, const uint8_t* bytes,
                     uint32_t count);
  // Moves `count` bytes towards `target`; false if the power went.
  bool work(uint32_t offset, const uint8_t* target, uint32_t count);
  void tear(uint32_t offset, const uint8_t* target, uint32_t count);

  std::vector<uint8_t> bytes_;
  uint32_t page_bytes_, unit_bytes_;
  bool is_on_ = true;
  uint64_t left_ = UINT64_MAX, worked_ = 0;
  Torn torn_ = Torn::kPrefix;
  std::minstd_rand random_;
  int violations_ = 0;
};

}  // namespace ft::test
