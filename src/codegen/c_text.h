// Pieces of C99 source text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/dtype.h"

namespace ft::codegen {

// Literals that read back as the same bits. Infinities are INFINITY of
// <math.h>.
std::string c_literal(float v);
std::string c_literal(int64_t v);

// "int8_t"; 16-bit floats are their bits, uint16_t.
std::string_view c_type(DType dtype);

// The elements of `bytes`, separated by commas, in lines of at most 80 columns
// that begin with two spaces.
std::string c_elements(DType dtype, std::span<const std::byte> bytes);

// Elements of an array: "\n    0x01, 0x23, ...".
std::string c_hex_bytes(std::span<const uint8_t> bytes);
// The first 16 bytes of a hash, which is given in hex.
std::string c_hash_prefix(const std::string& hex);

// Letters, digits and underscores of `name`, at most 40 of them: the part of a
// name that tells a reader most is its end.
std::string c_identifier(std::string_view name);

// Lines that begin with "   " and hold `words` up to 80 columns.
std::string c_wrapped(std::span<const std::string> words,
                      std::string_view indent);

}  // namespace ft::codegen
