// Ed25519 keys (libsodium) that sign device images.
//
// A signing key is a file of 32 random bytes that only its owner may read; the
// public key beside it (KEY.pub, 64 hex digits) goes into the firmware.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace ft {

using PublicKey = std::array<uint8_t, 32>;

std::string to_hex(std::span<const uint8_t> bytes);

// Clears its bytes when it goes.
class SigningKey {
 public:
  // RFC 8032's secret key is these 32 bytes.
  explicit SigningKey(std::span<const uint8_t, 32> seed);
  SigningKey(SigningKey&& other) noexcept;
  SigningKey& operator=(SigningKey&&) = delete;
  ~SigningKey();

  const PublicKey& public_key() const { return public_key_; }
  // Deterministic.
  std::array<uint8_t, 64> sign(std::span<const std::byte> message) const;

 private:
  PublicKey public_key_;
  std::array<uint8_t, 64> secret_;  // seed and public key
};

// Makes a new key at `path` (mode 0600) and `path`.pub. Refuses to overwrite
// either.
Result<PublicKey> create_signing_key(const std::string& path);

// Refuses a file of another size, and one that others may read.
Result<SigningKey> load_signing_key(const std::string& path);
Result<PublicKey> load_public_key(const std::string& path);

}  // namespace ft
