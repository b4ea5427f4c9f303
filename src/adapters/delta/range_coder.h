// The two coders of ft_delta_model.h that the maker of a delta needs: one
// writes bits, one counts what they would take. The one that reads is
// runtime_mcu/delta/ft_delta.c.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ft_delta_model.h"

namespace ft {

// A range encoder with carry, as in LZMA.
class RangeEncoder : public ft_delta_coder {
 public:
  RangeEncoder();

  // The stream, without the zeros that a reader supplies behind its end.
  std::vector<std::byte> finish();

 private:
  void write_bit(uint16_t* state, uint32_t bit);
  void write_direct(uint32_t value, uint32_t count);
  void normalize();
  void shift();

  uint64_t low_ = 0;
  uint32_t range_ = 0xffffffffu;
  uint8_t cache_ = 0;
  uint64_t cached_ = 1;  // bytes that a carry could still change
  std::vector<std::byte> bytes_;
};

// Writes nothing.
class CostCounter : public ft_delta_coder {
 public:
  CostCounter();
  double bits = 0;
};

// Of a decision whose state is `state`, before it is learned.
double cost_in_bits(uint16_t state, uint32_t bit);

}  // namespace ft
