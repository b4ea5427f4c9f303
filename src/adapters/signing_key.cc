#include "adapters/signing_key.h"

#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

namespace ft {
std::string to_hex(std::span<const uint8_t> bytes) {
  std::string hex;
  for (const uint8_t byte : bytes) hex += fmt::format("{:02x}", byte);
  return hex;
}

SigningKey::SigningKey(std::span<const uint8_t, 32> seed) {
  crypto_sign_seed_keypair(public_key_.data(), secret_.data(), seed.data());
}

SigningKey::SigningKey(SigningKey&& other) noexcept
    : public_key_(other.public_key_), secret_(other.secret_) {
  sodium_memzero(other.secret_.data(), other.secret_.size());
}

SigningKey::~SigningKey() { sodium_memzero(secret_.data(), secret_.size()); }

std::array<uint8_t, 64> SigningKey::sign(
    std::span<const std::byte> message) const {
  std::array<uint8_t, 64> signature;
  crypto_sign_detached(signature.data(), nullptr,
                       reinterpret_cast<const uint8_t*>(message.data()),
                       message.size(), secret_.data());
  return signature;
}

Result<PublicKey> create_signing_key(const std::string& path) {
  const std::string public_path = path + ".pub";
  if (::access(public_path.c_str(), F_OK) == 0)
    return usage_error("'" + public_path + "' exists and is not overwritten");
  if (sodium_init() < 0) return io_error("libsodium cannot start");
  std::array<uint8_t, 32> seed;
  randombytes_buf(seed.data(), seed.size());
  const PublicKey key = SigningKey(seed).public_key();
  const Status status =
      write_new_file(path, std::as_bytes(std::span(seed)), 0600);
  sodium_memzero(seed.data(), seed.size());
  FT_TRY_STATUS(status);
  const std::string hex = to_hex(key) + '\n';
  const Status published =
      write_new_file(public_path, std::as_bytes(std::span(hex)));
  if (published.ok()) return key;
  // Half a pair helps nobody, and a public half alone is in the way. One that
  // was there before is not ours.
  if (published.code() == Code::kUsage || remove_file(public_path).ok())
    (void)remove_file(path).ok();
  return published;
}

Result<SigningKey> load_signing_key(const std::string& path) {
  FT_TRY(const MappedFile file, MappedFile::open(path));
  if (file.bytes().size() != 32)
    return invalid_input(fmt::format("'{}' has {} bytes; a signing key has 32",
                                     path, file.bytes().size()));
  struct stat info;
  if (::stat(path.c_str(), &info) != 0 || (info.st_mode & 077) != 0)
    return invalid_input(fmt::format(
        "signing key '{}' may be read by others; 'chmod 600' it", path));
  const auto* seed = reinterpret_cast<const uint8_t*>(file.bytes().data());
  return SigningKey(std::span<const uint8_t, 32>(seed, 32));
}

Result<PublicKey> load_public_key(const std::string& path) {
  FT_TRY(std::string text, read_text_file(path));
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  PublicKey key;
  size_t count = 0;
  if (text.size() != 64 ||
      sodium_hex2bin(key.data(), key.size(), text.data(), text.size(), nullptr,
                     &count, nullptr) != 0 ||
      count != key.size())
    return invalid_input("'" + path +
                         "' is not a public key: 64 hex digits, as keygen "
                         "writes them");
  return key;
}

}  // namespace ft
