// Encryption at rest: adapter files as libsodium's secretstream
// (XChaCha20-Poly1305), 64 KB at a time, each piece bound to the file's name.
//
//   file  = magic "FtStore1", header (24 bytes), piece ...
//   piece = up to 65,536 bytes of plain text and 17 more; the last is marked
//
// Truncation, reordering and exchange with another file are detected. Names,
// versions and metrics stay readable in the index.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "fieldtune/adapter_store.h"

namespace ft::store {

// A key of a store; clears its bytes when it goes.
class Cipher {
 public:
  // Refuses a file that others may read, and keys of another size than 32.
  static Result<Cipher> load(const fieldtune::StoreKey& key);
  explicit Cipher(std::span<const uint8_t, 32> key);
  Cipher(Cipher&& other) noexcept;
  Cipher& operator=(Cipher&&) = delete;
  ~Cipher();

  // What the index keeps so that a wrong key is told at once.
  std::string make_check() const;
  bool matches(const std::string& check) const;

  // Of what seal() makes of so many bytes.
  static uint64_t sealed_bytes(uint64_t plain);
  std::vector<std::byte> seal(std::span<const std::byte> plain,
                              const std::string& name) const;
  // Every error names `origin`.
  Result<std::vector<std::byte>> open(std::span<const std::byte> sealed,
                                      const std::string& name,
                                      const std::string& origin) const;

 private:
  std::array<uint8_t, 32> key_;
};

}  // namespace ft::store
