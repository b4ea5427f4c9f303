// Random draws for hosts, all from Philox: value = f(seed, stream, counter).
#pragma once

#include <cstdint>
#include <string_view>

namespace ft {

// A named stream keeps independent uses of one seed apart: the same name gives
// the same stream on every machine (FNV-1a of the name).
uint64_t stream_id(std::string_view name);

class Random {
 public:
  Random(uint64_t seed, std::string_view stream)
      : seed_(seed), stream_(stream_id(stream)) {}
  Random(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}

  uint32_t bits(uint64_t counter) const;
  float uniform(uint64_t counter) const;  // [0, 1), 24 bits
  float normal(uint64_t counter) const;   // mean 0, sd 1; |x| <= 6
  // [0, n), unbiased to 2^-32 * n; n > 0.
  uint32_t below(uint64_t counter, uint32_t n) const;

 private:
  uint64_t seed_, stream_;
};

}  // namespace ft
