// How real numbers are stored in few bits, as data: format, grid and which
// values share a step.
//
// Used for what fieldtune itself stores and simulates. What a model file says
// of its tensors is QuantParams (types.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ir/types.h"

namespace ft {

struct Quantizer {
  enum class Format : uint8_t { kF32, kF16, kBF16, kInteger };
  enum class Per : uint8_t { kTensor, kChannel, kBlock };
  // The shorter of the first two axes: of a low-rank factor, the rank.
  static constexpr int kShorterAxis = -1;

  Format format = Format::kF32;
  int bits = 8;  // of kInteger: 2 to 8, or 16
  // Integers -(2^(bits - 1) - 1) ... 2^(bits - 1) - 1 around 0. Otherwise
  // -2^(bits - 1) ... 2^(bits - 1) - 1 around a zero point of each group.
  bool symmetric = true;
  Per per = Per::kChannel;
  int axis = kShorterAxis;  // of kChannel
  // Of kBlock: consecutive values of the tensor; the last block may be shorter.
  int64_t block = 32;

  bool is_integer() const { return format == Format::kInteger; }
  int qmin() const { return symmetric ? -qmax() : -(1 << (bits - 1)); }
  int qmax() const { return (1 << (bits - 1)) - 1; }
  // "float32", "float16", "bfloat16", "int8", "int4" ...
  std::string dtype_name() const;
  // All of it but a given axis: "int4/asymmetric/block32", "int8/channel".
  std::string to_string() const;
  bool operator==(const Quantizer&) const = default;
};

// Which values of a tensor share a step: rows of `row` values are cut into runs
// of `block`, and run i belongs to group i % groups.
struct QuantGroups {
  int64_t row = 1, block = 1, groups = 1;
  int64_t group_of(int64_t index) const {
    return (index / row * ((row + block - 1) / block) + index % row / block) %
           groups;
  }
};
QuantGroups groups_of(const Quantizer& quantizer, const Shape& shape);

// "f32", "f16", "bf16", "int2" ... "int8", "int16" or their long names; sets
// format and bits. Fails, saying what there is.
Status parse_format(std::string_view word, Quantizer& quantizer);
// "tensor", "channel" or "block<size>"; sets `per` and `block`.
Status parse_granularity(std::string_view word, Quantizer& quantizer);
// What to_string() wrote.
Result<Quantizer> parse_quantizer(std::string_view text);

}  // namespace ft
