// SHA-256 of bytes (libsodium), as lower-case hex.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace ft {

std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace ft
