#include "base/random.h"

#include "base/philox.h"

namespace ft {

uint64_t stream_id(std::string_view name) {
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : name) {
    h ^= static_cast<unsigned char>(c);
    h *= 0x100000001b3u;
  }
  return h;
}

uint32_t Random::bits(uint64_t counter) const {
  return ft_philox(seed_, stream_, counter).word[0];
}

float Random::uniform(uint64_t counter) const {
  return static_cast<float>(bits(counter) >> 8) * 0x1p-24f;
}

// Sum of twelve uniforms (Irwin-Hall): integer arithmetic until the last
// product, hence equal bits on every machine, which log/cos would not give.
float Random::normal(uint64_t counter) const {
  int64_t sum = 0;
  for (uint64_t k = 0; k < 3; ++k) {
    const ft_philox_block block = ft_philox(seed_, stream_, counter * 3 + k);
    for (const uint32_t w : block.word) sum += w >> 8;
  }
  const int64_t centered = sum - 6 * (int64_t{1} << 24);
  return static_cast<float>(centered) * 0x1p-24f;
}

uint32_t Random::below(uint64_t counter, uint32_t n) const {
  return static_cast<uint32_t>((uint64_t{bits(counter)} * n) >> 32);
}

}  // namespace ft
