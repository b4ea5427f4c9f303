#include "adapters/store/cipher.h"

#include <fmt/format.h>
#include <linux/keyctl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.h"

namespace ft::store {
namespace {

constexpr size_t kKeyBytes = crypto_secretstream_xchacha20poly1305_KEYBYTES;
constexpr size_t kHeaderBytes =
    crypto_secretstream_xchacha20poly1305_HEADERBYTES;
constexpr size_t kMoreBytes = crypto_secretstream_xchacha20poly1305_ABYTES;
constexpr size_t kPieceBytes = 65536;
constexpr char kMagic[] = "FtStore1";
constexpr size_t kMagicBytes = sizeof(kMagic) - 1;
constexpr char kCheckText[] = "fieldtune adapter store";
static_assert(kKeyBytes == 32);

const uint8_t* data_of(std::span<const std::byte> bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

const uint8_t* data_of(const std::string& text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// From the first of this process's keyrings that has it.
Status read_keyring(const std::string& name, std::span<uint8_t, 32> key) {
  const long id = ::syscall(SYS_request_key, "user", name.c_str(), nullptr, 0);
  if (id < 0)
    return io_error(
        fmt::format("no key '{}' of type 'user' in the keyrings of "
                    "this process: {}",
                    name, std::strerror(errno)));
  std::array<uint8_t, 33> read;  // one more: a longer key is told apart
  const long size =
      ::syscall(SYS_keyctl, KEYCTL_READ, id, read.data(), read.size());
  Status status;
  if (size < 0)
    status = io_error(fmt::format("cannot read key '{}' of the keyring: {}",
                                  name, std::strerror(errno)));
  else if (size != static_cast<long>(key.size()))
    status = invalid_input(fmt::format(
        "key '{}' of the keyring has {} bytes; the key of a store has 32", name,
        size));
  else
    std::copy_n(read.begin(), key.size(), key.begin());
  sodium_memzero(read.data(), read.size());
  return status;
}

Status read_key_file(const std::string& path, std::span<uint8_t, 32> key) {
  struct stat info;
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & 077) != 0)
    return invalid_input(fmt::format(
        "key file '{}' may be read by others; 'chmod 600' it", path));
  FT_TRY(const MappedFile file, MappedFile::open(path));
  if (file.bytes().size() != key.size())
    return invalid_input(
        fmt::format("'{}' has {} bytes; the key of a store has 32", path,
                    file.bytes().size()));
  std::copy_n(data_of(file.bytes()), key.size(), key.begin());
  return ok_status();
}

}  // namespace

Result<Cipher> Cipher::load(const fieldtune::StoreKey& key) {
  if (sodium_init() < 0) return io_error("libsodium cannot start");
  if (!key.file.empty() && !key.keyring.empty())
    return usage_error("the key is in a file or in the keyring, not in both");
  std::array<uint8_t, 32> bytes;
  const Status status = key.keyring.empty() ? read_key_file(key.file, bytes)
                                            : read_keyring(key.keyring, bytes);
  if (!status.ok()) return status;
  Cipher cipher(bytes);
  sodium_memzero(bytes.data(), bytes.size());
  return cipher;
}

Cipher::Cipher(std::span<const uint8_t, 32> key) {
  std::copy_n(key.begin(), key.size(), key_.begin());
}

Cipher::Cipher(Cipher&& other) noexcept : key_(other.key_) {
  sodium_memzero(other.key_.data(), other.key_.size());
}

Cipher::~Cipher() { sodium_memzero(key_.data(), key_.size()); }

std::string Cipher::make_check() const {
  constexpr size_t kText = sizeof(kCheckText);
  std::string check(
      crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + kText, '\0');
  auto* nonce = reinterpret_cast<uint8_t*>(check.data());
  randombytes_buf(nonce, crypto_secretbox_NONCEBYTES);
  crypto_secretbox_easy(nonce + crypto_secretbox_NONCEBYTES,
                        reinterpret_cast<const uint8_t*>(kCheckText), kText,
                        nonce, key_.data());
  return check;
}

bool Cipher::matches(const std::string& check) const {
  constexpr size_t kText = sizeof(kCheckText);
  const size_t boxed = crypto_secretbox_MACBYTES + kText;
  if (check.size() != crypto_secretbox_NONCEBYTES + boxed) return false;
  std::array<uint8_t, kText> text;
  return crypto_secretbox_open_easy(
             text.data(), data_of(check) + crypto_secretbox_NONCEBYTES, boxed,
             data_of(check), key_.data()) == 0 &&
         std::memcmp(text.data(), kCheckText, kText) == 0;
}

namespace {

uint64_t pieces_of(uint64_t plain) {
  return std::max<uint64_t>(
      1, plain / kPieceBytes + (plain % kPieceBytes == 0 ? 0 : 1));
}

}  // namespace

uint64_t Cipher::sealed_bytes(uint64_t plain) {
  return kMagicBytes + kHeaderBytes + plain + pieces_of(plain) * kMoreBytes;
}

std::vector<std::byte> Cipher::seal(std::span<const std::byte> plain,
                                    const std::string& name) const {
  const size_t pieces = pieces_of(plain.size());
  std::vector<std::byte> sealed(sealed_bytes(plain.size()));
  auto* out = reinterpret_cast<uint8_t*>(sealed.data());
  std::memcpy(out, kMagic, kMagicBytes);
  out += kMagicBytes;
  crypto_secretstream_xchacha20poly1305_state state;
  crypto_secretstream_xchacha20poly1305_init_push(&state, out, key_.data());
  out += kHeaderBytes;
  for (size_t i = 0; i < pieces; ++i) {
    const size_t begin = i * kPieceBytes;
    const size_t size = std::min(kPieceBytes, plain.size() - begin);
    crypto_secretstream_xchacha20poly1305_push(
        &state, out, nullptr, data_of(plain) + begin, size, data_of(name),
        name.size(),
        i + 1 == pieces ? crypto_secretstream_xchacha20poly1305_TAG_FINAL : 0);
    out += size + kMoreBytes;
  }
  sodium_memzero(&state, sizeof(state));
  return sealed;
}

Result<std::vector<std::byte>> Cipher::open(std::span<const std::byte> sealed,
                                            const std::string& name,
                                            const std::string& origin) const {
  const Status damaged = invalid_input(
      origin + " is damaged: it is not what this store's key encrypted");
  if (sealed.size() < kMagicBytes + kHeaderBytes + kMoreBytes ||
      std::memcmp(sealed.data(), kMagic, kMagicBytes) != 0)
    return damaged;
  crypto_secretstream_xchacha20poly1305_state state;
  if (crypto_secretstream_xchacha20poly1305_init_pull(
          &state, data_of(sealed) + kMagicBytes, key_.data()) != 0)
    return damaged;
  auto rest = sealed.subspan(kMagicBytes + kHeaderBytes);
  std::vector<std::byte> plain(rest.size());
  size_t size = 0;
  uint8_t tag = 0;
  bool ok = true;
  while (ok && !rest.empty()) {
    const auto piece =
        rest.first(std::min(rest.size(), kPieceBytes + kMoreBytes));
    unsigned long long got = 0;
    ok =
        tag != crypto_secretstream_xchacha20poly1305_TAG_FINAL &&
        crypto_secretstream_xchacha20poly1305_pull(
            &state, reinterpret_cast<uint8_t*>(plain.data()) + size, &got, &tag,
            data_of(piece), piece.size(), data_of(name), name.size()) == 0;
    size += got;
    rest = rest.subspan(piece.size());
  }
  sodium_memzero(&state, sizeof(state));
  if (!ok || tag != crypto_secretstream_xchacha20poly1305_TAG_FINAL)
    return damaged;
  plain.resize(size);
  return plain;
}

}  // namespace ft::store
