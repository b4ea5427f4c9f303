// Device images: an adapter as a microcontroller keeps it in flash.
//
// The host's side of runtime_mcu/flash/ft_image.h, whose code reads and writes
// the 128 bytes of header; docs/decisions/016-device-image.md has the format.
// Non-goal: what the payload means, which the compiled program says.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "adapters/signing_key.h"
#include "base/result.h"

namespace ft {

// The first half of a SHA-256: what a header names models and programs by.
using HashPrefix = std::array<uint8_t, 16>;

// Of 64 hex digits; an error of ours for anything else.
Result<HashPrefix> hash_prefix(const std::string& sha256);

struct DeviceImage {
  enum class Kind : uint8_t { kAdapter = 1, kState = 2 };
  Kind kind = Kind::kAdapter;
  uint32_t version = 0;  // of an adapter; sequence number of a state
  HashPrefix base_hash = {}, plan_hash = {};
  // Of an adapter: which one of the device's; of a state: header CRC of its
  // adapter.
  uint32_t parent = 0;
  std::span<const std::byte> payload;
  bool is_signed = false;  // read only, like the CRCs
  uint32_t payload_crc32 = 0, header_crc32 = 0;
};

// The image's bytes, signed if there is a key. Deterministic. Fails with
// kDoesNotFit if the payload has 4 GB or more.
Result<std::vector<std::byte>> encode_device_image(const DeviceImage& image,
                                                   const SigningKey* key);

// Checks header, both CRCs and the length; not the signature. The payload is a
// view into `file`; every error names `origin`.
Result<DeviceImage> decode_device_image(std::span<const std::byte> file,
                                        const std::string& origin);

// Whether bytes begin as an image does, intact or not.
bool is_device_image(std::span<const std::byte> file);

// Of an image that decode_device_image() took: fails unless the owner of `key`
// has signed it.
Status check_signature(std::span<const std::byte> file, const PublicKey& key,
                       const std::string& origin);

}  // namespace ft
