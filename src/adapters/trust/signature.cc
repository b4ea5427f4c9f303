#include "adapters/trust/signature.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "formats/safetensors/safetensors.h"

namespace ft {
namespace {

constexpr const char *kSignature = "signature", *kKey = "signature_key";
constexpr std::string_view kDomain = "fieldtune adapter file 1";
constexpr size_t kDigits = 128, kHeaderAt = 8;

// Lower-case digits only: a file must not have two spellings.
template <size_t n>
bool read_hex(std::string_view text, std::array<uint8_t, n>& bytes) {
  size_t count = 0;
  const bool read = text.size() == 2 * n &&
                    sodium_hex2bin(bytes.data(), n, text.data(), text.size(),
                                   nullptr, &count, nullptr) == 0;
  return read && count == n && to_hex(bytes) == text;
}

// Where the digits begin; npos if the header does not say them as it must.
size_t find_digits(std::span<const std::byte> file) {
  constexpr std::string_view kMember = "\"signature\":\"";
  const auto header_bytes = safetensors_header_bytes(file);
  if (!header_bytes.ok()) return std::string_view::npos;
  const std::string_view header(
      reinterpret_cast<const char*>(file.data()) + kHeaderAt, *header_bytes);
  for (size_t at = header.find(kMember); at != std::string_view::npos;
       at = header.find(kMember, at + 1)) {
    const size_t digits = at + kMember.size();
    if (at > 0 && (header[at - 1] == '{' || header[at - 1] == ',') &&
        digits + kDigits < header.size() && header[digits + kDigits] == '"')
      return kHeaderAt + digits;
  }
  return std::string_view::npos;
}

std::vector<std::byte> signed_message(std::span<const std::byte> file,
                                      size_t digits_at) {
  std::vector<std::byte> message(kDomain.size() + file.size());
  std::memcpy(message.data(), kDomain.data(), kDomain.size());
  std::ranges::copy(file, message.data() + kDomain.size());
  std::fill_n(message.data() + kDomain.size() + digits_at, kDigits,
              std::byte{'0'});
  return message;
}

}  // namespace

Result<std::optional<AdapterSignature>> find_signature(
    std::span<const std::byte> file, const Metadata& metadata) {
  const auto text = metadata.find(kSignature), key = metadata.find(kKey);
  if (text == metadata.end() && key == metadata.end())
    return std::optional<AdapterSignature>();
  if (text == metadata.end() || key == metadata.end())
    return invalid_input(fmt::format(
        "metadata '{}' is missing, without which '{}' means nothing",
        text == metadata.end() ? kSignature : kKey,
        text == metadata.end() ? kKey : kSignature));
  AdapterSignature found;
  if (!read_hex(key->second, found.key))
    return invalid_input(
        "metadata 'signature_key' is not 64 lower-case hex digits");
  if (!read_hex(text->second, found.bytes))
    return invalid_input(
        "metadata 'signature' is not 128 lower-case hex digits");
  found.digits_at = find_digits(file);
  if (found.digits_at == std::string_view::npos ||
      std::memcmp(file.data() + found.digits_at, text->second.data(),
                  kDigits) != 0)
    return invalid_input(
        "metadata 'signature' is written with blanks or escapes, which no "
        "signed file has");
  return std::optional(found);
}

Status verify_signature(std::span<const std::byte> file,
                        const AdapterSignature& signature) {
  const std::vector<std::byte> message =
      signed_message(file, signature.digits_at);
  if (crypto_sign_verify_detached(
          signature.bytes.data(),
          reinterpret_cast<const uint8_t*>(message.data()), message.size(),
          signature.key.data()) == 0)
    return ok_status();
  return invalid_input(fmt::format(
      "the signature is not of this file by key {}: the file was changed after "
      "it was signed, or somebody else signed it",
      to_hex(signature.key)));
}

Result<std::vector<std::byte>> sign_adapter(std::span<const std::byte> file,
                                            const SigningKey& key,
                                            const Metadata& changes) {
  FT_TRY(Safetensors parsed, parse_safetensors(file));
  for (const auto& [name, value] : changes) parsed.metadata[name] = value;
  parsed.metadata[kKey] = to_hex(key.public_key());
  parsed.metadata[kSignature] = std::string(kDigits, '0');
  FT_TRY(auto out, write_safetensors(parsed.tensors, parsed.metadata));
  const size_t at = find_digits(out);
  if (at == std::string_view::npos)
    return internal_error("a signed adapter has no place for its signature");
  const std::string digits = to_hex(key.sign(signed_message(out, at)));
  std::memcpy(out.data() + at, digits.data(), kDigits);
  return out;
}

void drop_signature(Metadata& metadata) {
  metadata.erase(kSignature);
  metadata.erase(kKey);
}

}  // namespace ft
