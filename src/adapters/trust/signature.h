// Signatures of adapter files: Ed25519 (RFC 8032, libsodium) over the file.
//
// A signed adapter has two metadata values more:
//   signature_key  the signer's public key, 64 lower-case hex digits
//   signature      128 lower-case hex digits
// What is signed is this message, byte by byte:
//   24 bytes       "fieldtune adapter file 1", ASCII without an end
//   the file       all of it, with '0' (0x30) for each digit of `signature`
// so header, metadata, tensors and their order are covered, and a file of which
// any byte changes has no valid signature. To verify without this program: read
// the 8 bytes of header length and the header; find the one place where
// `"signature":"` stands behind `{` or `,`; take the 128 digits that follow,
// put zeros in their place, and check the message with any Ed25519 library.
//
// No other place can look like it: inside a JSON text every quote is escaped.
// A file that says `signature` in any other way, with blanks or escapes, is
// refused. Not for device images (device_image.h), whose messages begin with
// other bytes, so that one key may sign both.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "adapters/adapter_file.h"
#include "adapters/signing_key.h"
#include "base/result.h"

namespace ft {

struct AdapterSignature {
  PublicKey key = {};
  std::array<uint8_t, 64> bytes = {};
  size_t digits_at = 0;  // where the file has the first of 128 digits
};

// The signature that a file of this metadata claims to have, not verified; none
// where it has none. Fails where half of it is missing or malformed.
Result<std::optional<AdapterSignature>> find_signature(
    std::span<const std::byte> file, const Metadata& metadata);

// Fails unless the owner of `signature.key` signed every byte of the file.
Status verify_signature(std::span<const std::byte> file,
                        const AdapterSignature& signature);

// The file with `changes` in its metadata, signed; a signature that it had is
// replaced. Deterministic. Checks of its contents are the caller's.
Result<std::vector<std::byte>> sign_adapter(std::span<const std::byte> file,
                                            const SigningKey& key,
                                            const Metadata& changes = {});

// For whoever writes a changed adapter: the signature was of the old bytes.
void drop_signature(Metadata& metadata);

}  // namespace ft
