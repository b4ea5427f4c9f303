#include "adapters/delta/range_coder.h"

#include <cmath>

namespace ft {

double cost_in_bits(uint16_t state, uint32_t bit) {
  const double zero = ft_delta_chance(state) / 4096.0;
  return -std::log2(bit != 0 ? 1 - zero : zero);
}

RangeEncoder::RangeEncoder() {
  bit = [](ft_delta_coder* coder, uint16_t* state, uint32_t value) {
    static_cast<RangeEncoder*>(coder)->write_bit(state, value);
    return value;
  };
  direct = [](ft_delta_coder* coder, uint32_t value, uint32_t count) {
    const auto low =
        static_cast<uint32_t>(value & ((uint64_t{1} << count) - 1));
    static_cast<RangeEncoder*>(coder)->write_direct(low, count);
    return low;
  };
}

void RangeEncoder::write_bit(uint16_t* state, uint32_t value) {
  const uint32_t bound = (range_ >> 12) * ft_delta_chance(*state);
  if (value != 0) {
    low_ += bound;
    range_ -= bound;
  } else {
    range_ = bound;
  }
  ft_delta_learn(state, value);
  normalize();
}

void RangeEncoder::write_direct(uint32_t value, uint32_t count) {
  while (count-- > 0) {
    range_ >>= 1;
    if ((value >> count & 1) != 0) low_ += range_;
    normalize();
  }
}

void RangeEncoder::normalize() {
  while (range_ < 1u << 24) {
    range_ <<= 8;
    shift();
  }
}

// Moves the upper byte out, once no carry can change it any more.
void RangeEncoder::shift() {
  if (low_ < 0xff000000u || low_ > 0xffffffffu) {
    const auto carry = static_cast<uint8_t>(low_ >> 32);
    for (uint8_t byte = cache_; cached_ > 0; --cached_, byte = 0xff)
      bytes_.push_back(static_cast<std::byte>(byte + carry));
    cache_ = static_cast<uint8_t>(low_ >> 24);
  }
  ++cached_;
  low_ = (low_ & 0x00ffffffu) << 8;
}

std::vector<std::byte> RangeEncoder::finish() {
  // Of all numbers that mean the same, one that ends in zeros.
  for (int zeros = 31; zeros >= 0; --zeros) {
    const uint64_t mask = (uint64_t{1} << zeros) - 1;
    const uint64_t rounded = (low_ + mask) & ~mask;
    if (rounded - low_ >= range_) continue;
    low_ = rounded;
    break;
  }
  for (int i = 0; i < 5; ++i) shift();
  bytes_.erase(bytes_.begin());  // always 0
  for (int i = 0; i < 4 && !bytes_.empty() && bytes_.back() == std::byte{0};
       ++i)
    bytes_.pop_back();
  return std::move(bytes_);
}

CostCounter::CostCounter() {
  bit = [](ft_delta_coder* coder, uint16_t* state, uint32_t value) {
    static_cast<CostCounter*>(coder)->bits += cost_in_bits(*state, value);
    ft_delta_learn(state, value);
    return value;
  };
  direct = [](ft_delta_coder* coder, uint32_t value, uint32_t count) {
    static_cast<CostCounter*>(coder)->bits += count;
    return static_cast<uint32_t>(value & ((uint64_t{1} << count) - 1));
  };
}

}  // namespace ft
