// SHA-256 of bytes (libsodium), as lower-case hex.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace ft {

std::string sha256_hex(std::span<const std::byte> bytes);

// The same of bytes that come piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) = delete;
  void add(std::span<const std::byte> bytes);
  std::string hex();  // ends it: nothing may be added any more

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ft
