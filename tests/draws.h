// Random draws of tests that are easy to replay: the n-th of a stream is
// f(FT_SEED, stream, n).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/random.h"

namespace ft {

// FT_SEED of the environment, else 1; tests print it.
inline uint64_t test_seed() {
  const char* text = std::getenv("FT_SEED");
  return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
}

class Draws {
 public:
  explicit Draws(uint64_t stream) : random_(test_seed(), stream) {}
  uint32_t below(size_t n) {
    return random_.below(counter_++, static_cast<uint32_t>(n));
  }
  std::byte byte() { return static_cast<std::byte>(below(256)); }

 private:
  Random random_;
  uint64_t counter_ = 0;
};

}  // namespace ft
